import { randomUUID } from 'node:crypto';
import type { Database } from './database.js';
import { type Finding, failure, fine } from './finding.js';

/** A channel of its own, so that no process takes the test for a message. */
const CHANNEL = 'pgflow_doctor';

/** Whether a notification arrives. Through a transaction pooler LISTEN succeeds and nothing ever comes. */
export async function checkListen(database: Database, patience: number): Promise<Finding[]> {
  if (await hearsItself(database, patience)) return [fine('listen', 'Notifications arrive.')];
  return [
    failure(
      'listen',
      `No notification arrived within ${patience} s: a transaction pooler, such as PgBouncer, swallows LISTEN.`,
      'Give createPgFlow a direct connection, or a pooler in session mode. Until then changes of other processes show seconds later, and workers find tasks by polling.',
    ),
  ];
}

async function hearsItself(database: Database, patience: number): Promise<boolean> {
  const token = randomUUID();
  let timer: NodeJS.Timeout | undefined;
  let decide: (heard: boolean) => void = () => {};
  const heard = new Promise<boolean>((resolve) => {
    decide = resolve;
  });
  const listener = await database.listen(
    CHANNEL,
    (payload) => {
      if (payload === token) decide(true);
    },
    () => decide(false),
  );
  try {
    await database.query('select pg_notify($1, $2)', [CHANNEL, token]);
    timer = setTimeout(() => decide(false), patience * 1000);
    return await heard;
  } finally {
    clearTimeout(timer);
    await listener.stop();
  }
}
