import type { Queryable } from './database.js';
import { quoteIdentifier } from './schema.js';

/** The names of the workers that hold a lease. */
export async function readWorkerNames(database: Queryable, schema: string): Promise<string[]> {
  const rows = await database.query<{ name: string }>(
    `select distinct name from ${quoteIdentifier(schema)}.workers`,
  );
  return rows.map(({ name }) => name);
}

/**
 * Sets the engine's clock to so many milliseconds after the real one, for tests. Leases of workers keep
 * what they had left, as heartbeats would have renewed them, except for those of the `dead`: these end, and
 * their tasks are rescued. Then all processes are told to look at the queue.
 *
 * @param moved how far it goes on with this call, in milliseconds.
 */
export async function moveClock(
  database: Queryable,
  schema: string,
  clock: { readonly offset: number; readonly moved: number; readonly dead: readonly string[] },
): Promise<void> {
  const name = quoteIdentifier(schema);
  const dead = clock.dead.map((worker) => `'${worker.replaceAll("'", "''")}'`).join(', ');
  // Under the lock no heartbeat computes a lease with one clock and stores it after the other came.
  await database.query(`do $move$ begin
    lock table ${name}.workers in exclusive mode;
    create or replace function ${name}.now() returns timestamptz
    language sql volatile set search_path = ''
    as $now$ select pg_catalog.date_trunc('milliseconds', pg_catalog.clock_timestamp())
      + ${interval(clock.offset)} $now$;
    update ${name}.workers set expires_at = expires_at + ${interval(clock.moved)}
    where name <> all (array[${dead}]::text[]);
  end $move$`);
  await database.query(`select from ${name}.rescue_tasks()`);
  await database.query(`select ${name}.notify_changes('{}', '{}', true)`);
}

function interval(milliseconds: number): string {
  return `interval '${milliseconds} milliseconds'`;
}
