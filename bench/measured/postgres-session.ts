import pg from 'pg';

/** A connection of the measuring process, beside those of the engine that is measured. */
export interface PostgresSession {
  /** Whether the query's one value is true. */
  holds(text: string, values?: readonly unknown[]): Promise<boolean>;
  analyse(): Promise<unknown>;
  close(): Promise<void>;
}

export async function openSession(url: string): Promise<PostgresSession> {
  const client = new pg.Client(url);
  await client.connect();
  return {
    async holds(text, values = []) {
      const { rows } = await client.query({ text, values: [...values], rowMode: 'array' });
      return rows[0]?.[0] === true;
    },
    analyse: () => client.query('analyze'),
    close: () => client.end(),
  };
}
