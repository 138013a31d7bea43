import type { Queryable } from './database.js';
import { quoteIdentifier } from './schema.js';

/** Runs with tasks that are being executed or due by now, at most that many. */
export async function readRunsAtWork(database: Queryable, schema: string, most: number): Promise<string[]> {
  const name = quoteIdentifier(schema);
  const rows = await database.query<{ run_id: string }>(
    `select distinct t.run_id from ${name}.step_tasks t
     where t.status = 'started' or t.available_at <= ${name}.now() limit $1`,
    [most],
  );
  return rows.map(({ run_id }) => run_id);
}
