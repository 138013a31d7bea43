import type { Database, Queryable } from './database.js';
import { type Finding, fine, warning } from './finding.js';
import { quoteIdentifier } from './schema.js';

/** Dead rows that outnumber the living, when they are so many that it matters. */
export async function checkBloat(database: Database, schema: string, mostDead: number): Promise<Finding[]> {
  const rows = await database.query<{ name: string; live: number; dead: number; vacuumed: string | null }>(
    `select relname::text as name, n_live_tup::float8 as live, n_dead_tup::float8 as dead,
       greatest(last_vacuum, last_autovacuum)::text as vacuumed
     from pg_stat_user_tables where schemaname = $1 and n_dead_tup >= $2 and n_dead_tup > n_live_tup order by relname`,
    [schema, mostDead],
  );
  if (rows.length === 0) return [fine('bloat', 'No table is full of dead rows.')];
  return rows.map(({ name, live, dead, vacuumed }) =>
    warning(
      'bloat',
      `${schema}.${name} has ${dead} dead rows beside ${live} living ones; vacuumed last: ${vacuumed ?? 'never'}.`,
      `Run: vacuum (analyze) "${schema}".${name}; and see that autovacuum is on and no old transaction holds it up.`,
    ),
  );
}

/** A transaction that stays open keeps every row that died since, so that all tables grow and the queue gets slow. */
export async function checkTransactions(database: Database, mostSeconds: number): Promise<Finding[]> {
  const rows = await database.query<{ pid: number; name: string; state: string; minutes: number }>(
    `select pid, coalesce(nullif(application_name, ''), usename::text, '') as name, coalesce(state, '') as state,
       floor(extract(epoch from clock_timestamp() - xact_start) / 60)::int as minutes
     from pg_stat_activity
     where xact_start < clock_timestamp() - make_interval(secs => $1) and pid <> pg_backend_pid()
       and datname = current_database() and backend_type = 'client backend'
     order by xact_start limit 1`,
    [mostSeconds],
  );
  return rows.length === 0
    ? [fine('transactions', 'No transaction is old.')]
    : rows.map(({ pid, name, state, minutes }) =>
        warning(
          'transactions',
          `The oldest transaction is ${minutes} min old: process ${pid} (${name}), ${state}.`,
          `Find out why it stays open; to end it: select pg_terminate_backend(${pid}); idle_in_transaction_session_timeout keeps it from coming back.`,
        ),
      );
}

/** Workers that stopped answering. */
export async function checkWorkers(database: Queryable, schema: string): Promise<Finding[]> {
  const name = quoteIdentifier(schema);
  const workers = await database.query<{ name: string; alive: boolean }>(
    `select name, expires_at >= ${name}.now() as alive from ${name}.workers order by worker_id`,
  );
  const dead = workers.filter(({ alive }) => !alive).map((worker) => worker.name);
  const living = workers.length - dead.length;
  if (dead.length === 0) return [fine('workers', `Workers alive: ${living}.`)];
  const fix =
    living > 0
      ? 'Nothing at first: the living ones take over their tasks within a third of a lease. If this stays, look at the log of those.'
      : 'Start one: it takes over their tasks. Until then nothing is executed.';
  return [warning('workers', `The lease of ${dead.join(', ')} has ended. Workers alive: ${living}.`, fix)];
}

/** Tasks that wait for a worker which is not there. */
export async function checkTasks(database: Queryable, schema: string): Promise<Finding[]> {
  const name = quoteIdentifier(schema);
  const rows = await database.query<{ flow_slug: string; step_slug: string; tasks: number }>(
    `select h.flow_slug, h.step_slug, count(*)::int as tasks
     from ${name}.step_tasks t join ${name}.handlers h on h.handler_id = t.handler_id
     where t.available_at is not null and not exists (
       select from ${name}.workers w where h.handler_id = any (w.handler_ids) and w.expires_at >= ${name}.now()
     )
     group by h.flow_slug, h.step_slug order by h.flow_slug, h.step_slug`,
  );
  if (rows.length === 0) return [fine('tasks', 'A worker that is alive knows every queued task.')];
  return rows.map(({ flow_slug, step_slug, tasks }) =>
    warning(
      'tasks',
      `No worker that is alive knows step ${step_slug} of ${flow_slug}; queued tasks of it: ${tasks}.`,
      `Start a process with ${flow_slug} in its flows or jobs, with this step as it was when the runs started. If it is not to come back: pgflow.cancelRun, or pgflow.deleteFlow('${flow_slug}').`,
    ),
  );
}
