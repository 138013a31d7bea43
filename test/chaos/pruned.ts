import type { TestDatabase } from '../harness/test-database.js';

/** What was deleted in the middle of a storm: by run id, the status that it had. */
export type Pruned = Readonly<Record<string, string>>;

/** Says that this run has been before. */
const BORN_BEFORE = 'ST001';

/**
 * Keeps what prunes delete, so that the audit still knows it. And sees to it that no run is started a second time
 * after it was deleted, by who never heard that the first start had succeeded.
 */
export async function keepPruned(db: TestDatabase): Promise<void> {
  for (const statement of STATEMENTS) await db.query(statement);
}

/** Its start was applied, unheard; it ended, and was pruned. */
export function isBornBefore(error: unknown): boolean {
  return (error as { code?: string }).code === BORN_BEFORE;
}

export async function readPruned(db: TestDatabase): Promise<Pruned> {
  const rows = await db.query<{ run_id: string; status: string }>(
    'select run_id, status from public.pruned_runs',
  );
  return Object.fromEntries(rows.map(({ run_id, status }) => [run_id, status]));
}

/** The round is over. */
export async function forgetPruned(db: TestDatabase): Promise<void> {
  await db.query('delete from public.pruned_runs');
  await db.query('delete from public.pruned_tasks');
}

/** With those that were pruned; of these what is needed to check effects. */
export const ALL_RUNS = `(select run_id, root_run_id, status from pgflow.runs
  union all select run_id, root_run_id, status from public.pruned_runs)`;
export const ALL_TASKS = `(select run_id, step_slug, task_index, status from pgflow.step_tasks
  union all select run_id, step_slug, task_index, status from public.pruned_tasks)`;

const STATEMENTS = [
  'create table public.births (run_id uuid primary key)',
  'create table public.pruned_runs (run_id uuid primary key, root_run_id uuid, status text)',
  'create table public.pruned_tasks (run_id uuid, step_slug text, task_index int, status text)',
  `create function public.note_birth() returns trigger language plpgsql as $$
   begin
     insert into public.births values (new.run_id) on conflict do nothing;
     if not found then
       raise exception using errcode = '${BORN_BEFORE}', message = 'Run ' || new.run_id || ' has been before.';
     end if;
     return null;
   end $$`,
  `create function public.note_pruned_run() returns trigger language plpgsql as $$
   begin
     insert into public.pruned_runs values (old.run_id, old.root_run_id, old.status);
     return null;
   end $$`,
  `create function public.note_pruned_task() returns trigger language plpgsql as $$
   begin
     if old.task_status is not null then
       insert into public.pruned_tasks values (old.run_id, old.step_slug, old.task_index, old.task_status);
     end if;
     return null;
   end $$`,
  ...(
    [
      ['runs', 'insert', 'note_birth'],
      ['runs', 'delete', 'note_pruned_run'],
      ['run_steps', 'delete', 'note_pruned_task'],
    ] as const
  ).map(
    ([table, operation, note]) =>
      `create trigger ${note} after ${operation} on pgflow.${table} for each row execute function public.${note}()`,
  ),
];
