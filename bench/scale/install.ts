import { createPgFlow, defineJob } from 'pgflow-live';
import { runIdSql, timeSql } from './run-ids.js';
import type { Session } from './session.js';

/** How many runs one statement inserts. */
const LOT = 50_000;
/** The hot tables, and the only ones that grow with a job's runs. */
export const TABLES = ['runs', 'run_steps'] as const;
export const JOB = 'job';

/** Makes a real install with one job and one finished run of it, which is returned: what `fill` makes copies of. */
export async function install(url: string): Promise<string> {
  const job = defineJob({ slug: JOB }, ({ input }: { input: { n: number } }) => input.n);
  const pgflow = await createPgFlow({ database: url, jobs: [job] });
  try {
    await pgflow.start();
    const { runId } = await pgflow.enqueue(job, { n: 1 });
    const live = await pgflow.track(runId);
    await live.waitFor('completed', { timeout: 60 });
    return runId;
  } finally {
    await pgflow.stop();
  }
}

/** Inserts the finished runs number `from` to before `to`, in the order of their time, of a year that has `total`. */
export async function fill(
  session: Session,
  model: string,
  { from, to, total }: { from: number; to: number; total: number },
): Promise<void> {
  for (let lot = from; lot < to; lot += LOT) {
    for (const table of TABLES) {
      await session.query(await copyStatement(session, table, total), [
        model,
        lot,
        Math.min(lot + LOT, to) - 1,
      ]);
    }
  }
  await settleDown(session);
}

export async function settleDown(session: Session): Promise<void> {
  for (const table of TABLES) await session.query(`vacuum analyze pgflow.${table}`);
  await session.query('checkpoint');
}

/** Columns are read from the catalog, so this holds whatever they are: a copy differs in its ids and times. */
async function copyStatement(session: Session, table: string, total: number): Promise<string> {
  const columns = await session.query<{ name: string; type: string }>(
    `select column_name as name, data_type as type from information_schema.columns
     where table_schema = 'pgflow' and table_name = $1 order by ordinal_position`,
    [table],
  );
  const values = columns.map(({ name, type }) => {
    if (name === 'run_id' || name === 'root_run_id') return runIdSql('n', total);
    const time = `to_timestamp(${timeSql('n', total)} / 1000.0)`;
    return type.startsWith('timestamp') ? `case when "${name}" is not null then ${time} end` : `"${name}"`;
  });
  return `insert into pgflow.${table} (${columns.map(({ name }) => `"${name}"`).join(', ')})
     select ${values.join(', ')} from pgflow.${table} m, generate_series($2::bigint, $3::bigint) n where m.run_id = $1`;
}
