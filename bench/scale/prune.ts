import { timed } from '../measure.js';
import { TABLES } from './install.js';
import { firstOfMonth, timeSql } from './run-ids.js';
import type { Session } from './session.js';

const BATCH = 500;

export interface Pruned {
  /** By prune_runs in batches, then the vacuum of what it left. */
  readonly deleted: {
    readonly runs: number;
    readonly milliseconds: number;
    readonly cpu: number;
    readonly walBytes: number;
    readonly pageImages: number;
    readonly deadRows: number;
    readonly vacuumMilliseconds: number;
    readonly vacuumWalBytes: number;
  };
  /** By `drop table` of three partitions with the same rows. */
  readonly dropped: { readonly runs: number; readonly milliseconds: number; readonly walBytes: number };
}

/**
 * Makes way for the oldest `runs` runs of a year of `total`, twice: as partitions, and row by row. Those that were settled
 * while they were measured ended just now, so the prune by age leaves them.
 */
export async function measurePrune(session: Session, runs: number, total: number): Promise<Pruned> {
  const dropped = await dropPartitions(session, runs, total);
  await session.query('checkpoint');
  const cutoff = `to_timestamp(${timeSql(String(runs), total)} / 1000.0)`;
  const before = session.cpu();
  const sums = { runs: 0, walBytes: 0, pageImages: 0 };
  const milliseconds = await timed(async () => {
    for (let gone = 1; gone > 0; ) {
      const { rows, walBytes, pageImages } = await session.cost(
        `select * from pgflow.prune_runs(${cutoff}, ${BATCH})`,
        [],
      );
      sums.walBytes += walBytes;
      sums.pageImages += pageImages;
      sums.runs += rows;
      gone = rows;
    }
  });
  const cpu = session.cpu() - before;
  const deadRows = await countDead(session);
  const from = await walPosition(session);
  const vacuumMilliseconds = await timed(async () => {
    for (const table of TABLES) await session.query(`vacuum pgflow.${table}`);
  });
  const vacuumWalBytes = await walSince(session, from);
  return {
    deleted: { milliseconds, cpu, ...sums, deadRows, vacuumMilliseconds, vacuumWalBytes },
    dropped,
  };
}

async function dropPartitions(session: Session, runs: number, total: number): Promise<Pruned['dropped']> {
  const bound = `(lpad(to_hex(${timeSql(String(runs), total)}), 12, '0') || repeat('0', 20))::uuid`;
  const [row] = await session.query<{ bound: string }>(`select ${bound} as bound`);
  await session.query('create schema if not exists scale');
  for (const table of TABLES) {
    await session.query(
      `create table scale.${table} (like pgflow.${table} including all) partition by range (run_id)`,
    );
    await session.query(`create table scale.${table}_old partition of scale.${table}
      for values from ('${firstOfMonth(0)}') to ('${row!.bound}') with (fillfactor = 70)`);
    await session.query(`insert into scale.${table} select * from pgflow.${table} where run_id < $1`, [
      row!.bound,
    ]);
  }
  const [filled] = await session.query<{ count: number }>('select count(*)::int as count from scale.runs');
  if (filled!.count !== runs) throw new Error(`${filled!.count} of ${runs} runs are in the partition.`);
  await session.query('checkpoint');
  const from = await walPosition(session);
  const milliseconds = await timed(() =>
    session.query(`drop table ${TABLES.map((table) => `scale.${table}_old`).join(', ')}`),
  );
  return { runs, milliseconds, walBytes: await walSince(session, from) };
}

async function countDead(session: Session): Promise<number> {
  await session.query('create extension if not exists pgstattuple');
  const [row] = await session.query<{ dead: number }>(
    `select sum((pgstattuple('pgflow.' || t)).dead_tuple_count)::int as dead from unnest($1::text[]) t`,
    [TABLES],
  );
  return row!.dead;
}

async function walPosition(session: Session): Promise<string> {
  const [row] = await session.query<{ lsn: string }>('select pg_current_wal_insert_lsn()::text as lsn');
  return row!.lsn;
}

async function walSince(session: Session, from: string): Promise<number> {
  const [row] = await session.query<{ bytes: number }>(
    'select (pg_current_wal_insert_lsn() - $1::pg_lsn)::float8 as bytes',
    [from],
  );
  return row!.bytes;
}
