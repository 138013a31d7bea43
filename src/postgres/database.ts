import type { TransactionClient } from '../flow/flow.js';

/** Runs one statement. Rows are objects; `json` and `jsonb` come parsed, times as text, `int4` and `float8` as numbers. */
export interface Queryable {
  query<Row = Record<string, unknown>>(
    sql: string,
    params?: readonly unknown[],
    options?: QueryOptions,
  ): Promise<Row[]>;
}

export interface QueryOptions {
  /** The same text comes again and again, and its plan does not depend on the tables: worth a prepared statement. */
  readonly prepare?: boolean;
  /** Statements of a lane keep to connections where their plans are made, and wait for no others. */
  readonly lane?: 'start' | 'settle';
}

/**
 * The small port between the engine and a driver. All SQL goes through it.
 * Parameters are text, numbers, booleans, null, or arrays of these; SQL casts them.
 */
export interface Database extends Queryable {
  readonly kind: 'postgres' | 'pglite';
  /** Where it is, for messages: never with a password. */
  readonly location: string;
  /** Runs `fn` in one transaction on one connection: commits what it returns, rolls back what it throws. */
  transaction<T>(fn: (tx: Queryable & { exec(sql: string): Promise<void> }) => Promise<T>): Promise<T>;
  /**
   * The same for a user's code: `client` is the driver's own, `engine` runs statements on the same connection. It takes
   * no connection that the engine needs, where there are several.
   */
  userTransaction<T>(fn: (client: TransactionClient, engine: Queryable) => Promise<T>): Promise<T>;
  /**
   * Listens on a channel over a connection of its own, until `stop`.
   * `onLost` is called once when the connection ends by itself; listen again then.
   */
  listen(
    channel: string,
    onPayload: (payload: string) => void,
    onLost: (error: Error) => void,
  ): Promise<Listener>;
  /** Ends the connections that this driver opened, not those it was given. Idempotent. */
  close(): Promise<void>;
}

export interface Listener {
  /** A round trip on the listening connection; rejects when it is dead. */
  ping(): Promise<void>;
  stop(): Promise<void>;
}
