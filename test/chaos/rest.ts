import { pause, persist, timeUp } from './fixtures/commands.js';
import { ALL_RUNS, ALL_TASKS, forgetPruned, type Pruned, readPruned } from './pruned.js';
import { digestOf } from './sightings.js';
import type { Stage } from './stage.js';
import { COMMITTING } from './storm-flows.js';
import type { StormProcess } from './storm-process.js';
import type { StormReport } from './storm-report.js';
import { takeUnfairFailures } from './unfair-failures.js';
import { type Rates, RELIABLE } from './unreliable-bus.js';

/**
 * The storm is over: waits until every run has ended, then checks that each watcher shows its end, that all that was
 * ever shown was the row, that nothing acknowledged was lost, that effects and completions go together, and that what
 * was opened is closed. Then everything of this round is deleted.
 */
export async function checkRest(stage: Stage, patience: number, report: StormReport): Promise<void> {
  const { webs, workers, pgflow, audit, ledger } = stage;
  await mend(stage);
  await ask(webs, { do: 'calm' }, 'calm', patience);
  await allEnded(stage, patience);
  const pruned = await readPruned(stage.db);
  report.pruned += Object.keys(pruned).length;
  const answers = await ask(webs, { do: 'rest', patience, pruned }, 'rested', 2 * patience);
  await audit.look();

  for (const { problems, seen, watchers } of answers) {
    ledger.wrong.push(...problems);
    report.watchers += watchers;
    report.states += seen.length;
    for (const state of seen) ledger.wrong.push(...checkSeen(stage, state));
  }
  ledger.wrong.push(...(await checkStarts(stage)), ...(await takeUnfairFailures(stage.db)));
  const doubles = await checkEffects(stage);
  report.completedTwice += doubles.length;
  ledger.wrong.push(...doubles);
  await countRuns(stage, report);

  for (const { problems } of await ask(webs, { do: 'clear', patience }, 'cleared', 2 * patience)) {
    ledger.wrong.push(...problems);
  }
  ledger.wrong.push(...(await checkConnections(stage, patience)));
  for (const { messages } of await ask([...webs, ...workers], { do: 'count' }, 'counted', patience)) {
    for (const [kind, count] of Object.entries(messages as Rates))
      report.messages[kind as keyof Rates] += count;
  }
  await pgflow.prune({ olderThan: 0 });
  await stage.db.query('delete from public.effects');
  await forgetPruned(stage.db);
  await audit.look();
  audit.forget();
  ledger.clear();
}

async function mend({ db, webs, workers, readers, redis }: Stage): Promise<void> {
  await persist(() => db.query('alter system reset default_transaction_read_only'));
  await persist(() => db.query('select pg_reload_conf()'));
  for (const proxy of [
    ...readers,
    ...(redis ? [redis.proxy] : []),
    ...[...webs, ...workers].map((process) => process.proxy),
  ]) {
    proxy.accept();
    proxy.resume();
  }
  for (const process of [...webs, ...workers]) process.tell({ do: 'bus', rates: RELIABLE });
}

/** All of them at once. */
function ask(
  processes: readonly StormProcess[],
  command: { do: string; patience?: number; pruned?: Pruned },
  type: string,
  patience: number,
): Promise<any[]> {
  const late = timeUp(patience * 1000 + 30_000).then(() => {
    throw new Error(`After ${patience} s of calm not all processes have answered "${command.do}".`);
  });
  late.catch(() => {});
  return Promise.race([Promise.all(processes.map((process) => process.ask(command, type))), late]);
}

async function allEnded({ db, pgflow }: Stage, patience: number): Promise<void> {
  const deadline = Date.now() + patience * 1000;
  for (;;) {
    const open = await persist(() =>
      db.query<{ run_id: string }>(`select run_id from pgflow.runs where status = 'started' limit 5`),
    );
    if (open.length === 0) return;
    if (Date.now() > deadline) {
      const why = await Promise.all(open.map(({ run_id }) => pgflow.explain(run_id)));
      throw new Error(
        `Q1: after ${patience} s of calm there are runs that have not ended: ${JSON.stringify(why)}`,
      );
    }
    await pause(200);
  }
}

function checkSeen({ audit }: Stage, [runId, seq, digest]: [string, number, string]): string[] {
  const row = audit.snapshot(runId, seq);
  if (row === undefined) return [`C3: run ${runId} was shown at seq ${seq}, which its row never had`];
  if (digestOf(row) === digest) return [];
  return [`C3: run ${runId} was shown at seq ${seq} as its row never was; it was ${JSON.stringify(row)}`];
}

async function checkStarts({ db, ledger }: Stage): Promise<string[]> {
  const rows = await db.query<{ run_id: string }>(
    `select s as run_id from unnest($1::uuid[]) s where not exists (select from ${ALL_RUNS} r where r.run_id = s)`,
    [[...ledger.started]],
  );
  return rows.map(({ run_id }) => `Q1: run ${run_id} was acknowledged, and is not there`);
}

/** Rows and completions that `commit` wrote together: both or neither, and never twice. */
async function checkEffects({ db }: Stage): Promise<string[]> {
  const rows = await db.query<{ wrong: string }>(
    `select 'Q1: the effect of ' || key || ' was written ' || count(*) || ' times' as wrong
     from public.effects group by key having count(*) > 1
     union all
     select 'Q1: the effect of ' || e.key || ' was written, but the task is not completed' from public.effects e
     where not exists (
       select from ${ALL_TASKS} t where t.run_id = e.run_id and t.step_slug = e.step_slug
         and t.task_index = e.task_index and t.status = 'completed')
     union all
     select 'Q1: task ' || t.task_index || ' of ' || t.step_slug || ' of run ' || t.run_id || ' is completed without its effect'
     from ${ALL_TASKS} t join ${ALL_RUNS} r using (run_id)
     where t.status = 'completed' and t.step_slug = any ($1) and not exists (
       select from public.effects e where e.key = r.root_run_id || ':' || t.step_slug || ':' || t.task_index)`,
    [COMMITTING],
  );
  return rows.map(({ wrong }) => wrong);
}

async function countRuns({ db }: Stage, report: StormReport): Promise<void> {
  const rows = await db.query<{ status: string; count: number }>(
    `select status, count(*)::int as count from ${ALL_RUNS} r group by status`,
  );
  for (const { status, count } of rows) report.runs[status] = (report.runs[status] ?? 0) + count;
}

/** C5: one listening connection for each process at most, two on Redis, whatever was cut, frozen and killed. */
async function checkConnections({ db, webs, workers, redis }: Stage, patience: number): Promise<string[]> {
  const most = webs.length + workers.length;
  const deadline = Date.now() + patience * 1000;
  for (;;) {
    const [row] = await persist(() =>
      db.query<{ listening: number }>(
        `select count(*)::int as listening from pg_stat_activity
         where application_name = 'pgflow-live listen' and datname = current_database()`,
      ),
    );
    const onRedis = (await redis?.server.clients())?.length ?? 0;
    if (row!.listening <= most && onRedis <= 2 * most) return [];
    if (Date.now() > deadline)
      return [`C5: ${row!.listening} connections listen and ${onRedis} are on Redis, of ${most} processes`];
    await pause(200);
  }
}
