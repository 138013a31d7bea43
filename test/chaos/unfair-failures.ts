import type { TestDatabase } from '../harness/test-database.js';

/**
 * Keeps each task that was failed although its handler had succeeded: because its result could not be stored. What
 * the handlers of a storm return can be, so whatever was in the way then is no reason to fail a task.
 */
export async function keepUnfairFailures(db: TestDatabase): Promise<void> {
  for (const statement of STATEMENTS) await db.query(statement);
}

/** Those since the last time. */
export async function takeUnfairFailures(db: TestDatabase): Promise<string[]> {
  const rows = await db.query<{ said: string }>('delete from public.unfair_failures returning said');
  return rows.map(({ said }) => `Q1: ${said}`);
}

const STATEMENTS = [
  'create table public.unfair_failures (said text)',
  `create function public.note_unfair_failure() returns trigger language plpgsql as $$
   begin
     insert into public.unfair_failures values (
       'Task ' || new.task_index || ' of ' || new.step_slug || ' of run ' || new.run_id ||
       ' was failed, though its handler had succeeded: ' || new.error_message);
     return null;
   end $$`,
  `create trigger note_unfair_failure after update on pgflow.run_steps for each row
   when (new.error_message like 'The result could not be stored%'
     and new.error_message is distinct from old.error_message)
   execute function public.note_unfair_failure()`,
];
