import pg from 'pg';

/** How many runs one statement inserts. */
const LOT = 50_000;

/**
 * Multiplies runs in SQL: a million of them in seconds instead of minutes. The columns are read from the catalog, so
 * this holds whatever they are: a copy differs from its model in its ids, and in its times if it is to be old.
 */
export interface Replication {
  readonly models: readonly string[];
  readonly copies: number;
  /** Seconds between one copy and the next, back into the past; 0: all have the times of their model. */
  readonly secondsApart: number;
}

const TABLES = ['runs', 'run_steps'];

export async function replicate(url: string, replication: Replication): Promise<void> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    for (const table of TABLES) {
      const statement = await insertInto(client, table, replication.secondsApart);
      for (let from = 0; from < replication.copies; from += LOT) {
        const to = Math.min(from + LOT, replication.copies) - 1;
        await client.query(statement, [replication.models, from, to]);
      }
    }
    await client.query('vacuum analyze');
    await client.query('checkpoint');
  } finally {
    await client.end();
  }
}

/** Copy n is of model n modulo their number. Its id begins with a time, as those of real runs do. */
async function insertInto(client: pg.Client, table: string, secondsApart: number): Promise<string> {
  const { rows } = await client.query<{ name: string; type: string }>(
    `select column_name as name, data_type as type from information_schema.columns
     where table_schema = 'pgflow' and table_name = $1 order by ordinal_position`,
    [table],
  );
  const id = `(lpad(to_hex(1600000000000 + n), 12, '0') || '70008000' || lpad(to_hex(n), 12, '0'))::uuid`;
  const values = rows.map(({ name, type }) => {
    if (name === 'run_id' || name === 'root_run_id') return id;
    if (type.startsWith('timestamp') && secondsApart > 0)
      return `"${name}" - n * interval '${secondsApart} s'`;
    return `"${name}"`;
  });
  return `insert into pgflow.${table} (${rows.map(({ name }) => `"${name}"`).join(', ')})
    select ${values.join(', ')}
    from generate_series($2::bigint, $3::bigint) n
    join pgflow.${table} m on m.run_id = ($1::uuid[])[n % cardinality($1::uuid[]) + 1]`;
}
