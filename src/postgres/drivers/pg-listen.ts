import pg from 'pg';
import type { Listener } from '../database.js';
import { withDeadline } from '../deadline.js';
import { explain } from './pg-errors.js';

/** Listens on a channel over a connection of its own. A ping fails too when the session listens no more. */
export async function listen(
  config: pg.PoolConfig,
  channel: string,
  onPayload: (payload: string) => void,
  onLost: (error: Error) => void,
  location: string,
): Promise<Listener> {
  const base =
    typeof config === 'string' ? { connectionString: config } : { ...config, password: config.password };
  const client = new pg.Client({ ...base, application_name: 'pgflow-live listen', keepAlive: true });
  let stopped = false;
  const lost = (error: Error) => {
    if (stopped) return;
    stopped = true;
    onLost(error);
    client.end().catch(() => {});
  };
  client.on('error', lost);
  client.on('end', () => lost(new Error('The listening connection ended.')));
  client.on('notification', (message) => {
    if (message.channel === channel && message.payload) onPayload(message.payload);
  });
  try {
    await client.connect();
    await client.query(`listen "${channel.replaceAll('"', '""')}"`);
  } catch (error) {
    stopped = true;
    await client.end().catch(() => {});
    throw explain(error, location);
  }
  return {
    // A pooler may have given the session to others, and reset it.
    async ping() {
      const { rows } = await client.query('select pg_catalog.pg_listening_channels() as channel');
      if (rows.every((row) => row.channel !== channel)) throw new Error('The connection listens no more.');
    },
    async stop() {
      stopped = true;
      // Nobody answers the goodbye on a half-open connection.
      await withDeadline(1, client.end()).catch(() => client.connection.stream.destroy());
    },
  };
}
