import type { TestDatabase } from './test-database.js';

type Source = 'runs' | 'step_states' | 'step_tasks';

/** One version of one row, as a transaction wrote it. `row` has its columns as JSON. */
export interface RowVersion {
  readonly source: Source;
  readonly operation: 'INSERT' | 'UPDATE' | 'DELETE';
  readonly row: Readonly<Record<string, any>>;
}

/** A claim that was shown in order to settle a task. */
export interface Settlement {
  readonly runId: string;
  readonly stepIndex: number;
  readonly taskIndex: number;
  readonly claim: number;
}

/** What one committed transaction wrote, in its order. */
export interface AuditedTransaction {
  readonly xid: string;
  readonly versions: readonly RowVersion[];
  readonly settlements: readonly Settlement[];
}

/**
 * Keeps every version of every run, step state and task, and every claim that was shown to settle one.
 * It is written in the transaction itself, so what is rolled back leaves nothing.
 */
export async function installAuditLog(db: TestDatabase, schema: string): Promise<void> {
  for (const statement of statementsFor(`"${schema}"`, `"${schema}_audit"`)) await db.query(statement);
}

/** All committed transactions, in an order in which they may have happened one after the other. */
export async function readAuditLog(db: TestDatabase, schema: string): Promise<AuditedTransaction[]> {
  const log = await db.query<RowVersion & { xid: string }>(
    `select xid, source, operation, content as row from "${schema}_audit".log order by id`,
  );
  const shown = await db.query<Settlement & { xid: string }>(
    `select xid, run_id as "runId", step_index as "stepIndex", task_index as "taskIndex", claim
     from "${schema}_audit".settlements`,
  );
  // Whoever alters a row logs it while holding its lock, so the last row that each one logged gives an order.
  const transactions = new Map<string, { versions: RowVersion[]; settlements: Settlement[] }>();
  for (const { xid, ...version } of log) {
    const transaction = transactions.get(xid) ?? { versions: [], settlements: [] };
    transactions.delete(xid);
    transactions.set(xid, transaction);
    transaction.versions.push(version);
  }
  for (const { xid, ...settlement } of shown) transactions.get(xid)?.settlements.push(settlement);
  return [...transactions].map(([xid, transaction]) => ({ xid, ...transaction }));
}

/** In the rows of `run_steps`: what is of the task, and not of the state, and the other way round. */
const OF_TASK = [
  ...[
    'task_status',
    'handler_id',
    'claim',
    'worker_id',
    'available_at',
    'item',
    'fed_map',
    'is_leaf',
    'fraction',
  ],
  ...['task_started_at', 'ended_at', 'task_index'],
];
const OF_STATE = [
  ...[
    'status',
    'remaining_deps',
    'initial_tasks',
    'remaining_tasks',
    'told_attempt',
    'skip_reason',
    'progress',
    'seq',
  ],
  ...['created_at', 'started_at', 'completed_at', 'failed_at', 'skipped_at', 'cancelled_at'],
];
const namesOf = (columns: readonly string[]) => `array['${columns.join("', '")}']`;
const ARGUMENTS =
  'uuid[], int[], int[], int[], text[], jsonb[], text[], float8[], boolean, int, int[], int, boolean, int, uuid[]';

function statementsFor(engine: string, audit: string): string[] {
  return [
    `create schema ${audit}`,
    `create table ${audit}.log (
       id bigint generated always as identity primary key, xid text, source text, operation text, content jsonb)`,
    `create table ${audit}.settlements (xid text, run_id uuid, step_index int, task_index int, claim int)`,
    // A run's input, which may be large, is kept once unless it is altered.
    `create function ${audit}.keep() returns trigger language plpgsql set search_path = '' as $$
     declare
       _content jsonb := to_jsonb(coalesce(new, old));
     begin
       if tg_op = 'UPDATE' and tg_table_name = 'runs' then
         -- That somebody tracks it is not of the run.
         if to_jsonb(old) - 'tracked_by' = _content - 'tracked_by' then return null; end if;
         if to_jsonb(old)->'input' = _content->'input' then _content := _content - 'input' - 'given_input'; end if;
       end if;
       insert into ${audit}.log (xid, source, operation, content)
       values (pg_current_xact_id()::text, tg_table_name, tg_op, _content);
       return null;
     end $$`,
    `create trigger audit after insert or update or delete on ${engine}.runs
     for each row execute function ${audit}.keep()`,
    `create function ${audit}.state_of(content jsonb) returns jsonb language sql set search_path = '' as $$
       select (content - ${namesOf(OF_TASK)}) || jsonb_build_object('attempt', content->'told_attempt')
       where content->>'status' is not null
     $$`,
    `create function ${audit}.task_of(content jsonb) returns jsonb language sql set search_path = '' as $$
       select (content - ${namesOf(OF_STATE)})
         || jsonb_build_object('status', content->'task_status', 'started_at', content->'task_started_at')
       where content->>'task_status' is not null
     $$`,
    // A row is a state, a task, or both at once: what a statement left as it was is not logged again.
    `create function ${audit}.keep_step() returns trigger language plpgsql set search_path = '' as $$
     declare
       _content jsonb := to_jsonb(coalesce(new, old));
       _before jsonb := case when tg_op = 'UPDATE' then to_jsonb(old) end;
     begin
       if _before->>'status' <> '' and _content->>'status' is null
         or _before->>'task_status' <> '' and _content->>'task_status' is null then
         raise 'A step or a task of run % lost its status.', new.run_id;
       end if;
       insert into ${audit}.log (xid, source, operation, content)
       select pg_current_xact_id()::text, part.source, tg_op, part.content
       from (values
         ('step_states', ${audit}.state_of(_content), ${audit}.state_of(_before)),
         ('step_tasks', ${audit}.task_of(_content), ${audit}.task_of(_before))
       ) part(source, content, before)
       where part.content is not null and part.content is distinct from part.before;
       return null;
     end $$`,
    `create trigger audit after insert or update or delete on ${engine}.run_steps
     for each row execute function ${audit}.keep_step()`,
    `alter function ${engine}.settle_tasks(${ARGUMENTS}) rename to settle_tasks_unaudited`,
    `create function ${engine}.settle_tasks(
       run_ids uuid[], step_indexes int[], task_indexes int[], claims int[],
       outcomes text[], outputs jsonb[], errors text[], retry_delays float8[], notify boolean default true,
       claimant int default null, claimant_handlers int[] default null, slots int default 0, untracked boolean default true,
       tracker int default null, watched uuid[] default null
     ) returns setof ${engine}.change_row language plpgsql volatile set search_path = '' as $$
     begin
       insert into ${audit}.settlements
       select pg_current_xact_id()::text, b.* from unnest(run_ids, step_indexes, task_indexes, claims) b;
       return query select * from ${engine}.settle_tasks_unaudited($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15);
     end $$`,
  ];
}
