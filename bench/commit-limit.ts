import pg from 'pg';
import { callConcurrently, timed } from './measure.js';

/** What this machine's PostgreSQL commits at most, one row each: the ceiling that the other figures are held against. */
export async function measureCommits(url: string, connections: number, commits: number): Promise<number> {
  const pool = new pg.Pool({ connectionString: url, max: connections });
  // `end` does not wait for the server's side: the database may be dropped while it still says goodbye.
  pool.on('error', () => {});
  try {
    await pool.query(
      'drop table if exists bench_commits; create table bench_commits (id bigint primary key, note text)',
    );
    await Promise.all(Array.from({ length: connections }, () => pool.query('select 1')));
    const milliseconds = await timed(() =>
      callConcurrently(connections, commits, (index) =>
        pool.query({
          name: 'insert',
          text: 'insert into bench_commits values ($1, $2)',
          values: [index, 'x'],
        }),
      ),
    );
    return (commits / milliseconds) * 1000;
  } finally {
    await pool.end();
  }
}
