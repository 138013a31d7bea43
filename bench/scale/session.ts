import { readFileSync } from 'node:fs';
import pg from 'pg';
import { median } from '../measure.js';

/** What one statement cost. */
export interface Cost {
  readonly rows: number;
  /** Pages of 8 kB touched, those of functions that it called included, and how many of them were not in shared_buffers. */
  readonly pages: number;
  readonly read: number;
  readonly walBytes: number;
  /** Whole pages in the WAL, written when a page is changed for the first time after a checkpoint. */
  readonly pageImages: number;
  /** CPU of the connection's server process, in milliseconds: other load on the machine hardly alters it. */
  readonly cpu: number;
}

interface Explained {
  readonly Plan: {
    readonly 'Actual Rows': number;
    readonly 'Shared Hit Blocks': number;
    readonly 'Shared Read Blocks': number;
    readonly 'WAL Bytes': number;
    readonly 'WAL FPI': number;
  };
}

/** A connection whose server process is on this machine, so that its CPU can be read. */
export class Session {
  readonly #client: pg.Client;
  readonly #pid: number;

  private constructor(client: pg.Client, pid: number) {
    this.#client = client;
    this.#pid = pid;
  }

  static async open(url: string): Promise<Session> {
    const client = new pg.Client(url);
    await client.connect();
    const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
    return new Session(client, rows[0]!.pid);
  }

  async query<T extends object>(sql: string, params: readonly unknown[] = []): Promise<T[]> {
    const { rows } = await this.#client.query<T & pg.QueryResultRow>(sql, [...params]);
    return rows;
  }

  /** Executes it. */
  async cost(sql: string, params: readonly unknown[]): Promise<Cost> {
    const before = this.cpu();
    const [row] = await this.query<{ 'QUERY PLAN': [Explained] }>(
      `explain (analyze, buffers, wal, timing off, format json) ${sql}`,
      params,
    );
    const { Plan } = row!['QUERY PLAN'][0];
    return {
      rows: Plan['Actual Rows'],
      pages: Plan['Shared Hit Blocks'] + Plan['Shared Read Blocks'],
      read: Plan['Shared Read Blocks'],
      walBytes: Plan['WAL Bytes'],
      pageImages: Plan['WAL FPI'],
      cpu: this.cpu() - before,
    };
  }

  /** Milliseconds on a processor since it was opened, as the kernel counts them. */
  cpu(): number {
    return Number(readFileSync(`/proc/${this.#pid}/schedstat`, 'utf8').split(' ')[0]) / 1e6;
  }

  async close(): Promise<void> {
    await this.#client.end();
  }
}

/** Of each figure the median, for one of the `units` that each statement served. */
export function medianCost(costs: readonly Cost[], units: number): Cost {
  const of = (key: keyof Cost) => median(costs.map((cost) => cost[key] / units));
  return {
    rows: of('rows'),
    pages: of('pages'),
    read: of('read'),
    walBytes: of('walBytes'),
    pageImages: of('pageImages'),
    cpu: of('cpu'),
  };
}
