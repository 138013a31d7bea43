/** The faults that the other tests inject do happen, to a real connection of a real server. */
import pg from 'pg';
import { afterEach, beforeEach, expect, onTestFinished, test } from 'vitest';
import { createTestDatabase, sharedServer, type TestDatabase } from '../harness/databases.js';
import { startTcpProxy, type TcpProxy } from '../harness/tcp-proxy.js';

let db: TestDatabase;
let proxy: TcpProxy;

beforeEach(async () => {
  db = await createTestDatabase('postgres');
  const { hostname, port } = new URL(sharedServer());
  proxy = await startTcpProxy(Number(port || 5432), hostname);
});
afterEach(async () => {
  await proxy.close();
  await db.close();
});

test('a cut ends a query with an error; the next connection works', async () => {
  const client = await connect();
  const query = client.query('select pg_sleep(60)');
  proxy.cut();
  await expect(query).rejects.toThrow();
  expect((await (await connect()).query('select 1 as one')).rows).toEqual([{ one: 1 }]);
});

test('a frozen connection neither answers nor fails, and its notifications are held back', async () => {
  const listener = await connect();
  const payloads: (string | undefined)[] = [];
  const heard = new Promise<void>((resolve) => {
    listener.on('notification', ({ payload }) => {
      payloads.push(payload);
      if (payload === 'last') resolve();
    });
  });
  await listener.query('listen test');
  proxy.freeze({ only: 'current' });

  await db.query(`select pg_notify('test', 'first')`);
  const bystander = await connect();
  for (let trip = 0; trip < 20; trip++) await bystander.query('select 1');
  expect(payloads).toEqual([]);

  proxy.resume();
  await db.query(`select pg_notify('test', 'last')`);
  await heard;
  expect(payloads).toEqual(['first', 'last']);
});

test('a connection that is lost at COMMIT has committed, and its client cannot know', async () => {
  const client = await connect();
  await client.query('create table orders (id int)');
  await client.query('begin');
  await client.query('insert into orders values (1)');
  const cut = proxy.cutBeforeReplyTo('commit');

  await expect(client.query('commit')).rejects.toThrow();

  await cut;
  expect(await db.query('table orders')).toEqual([{ id: 1 }]);
});

test('a connection that is lost before COMMIT has not committed', async () => {
  const client = await connect();
  await client.query('create table orders (id int)');
  await client.query('begin');
  await client.query('insert into orders values (1)');
  const cut = proxy.cutInsteadOf('commit');

  await expect(client.query('commit')).rejects.toThrow();

  await cut;
  expect(await db.query('table orders')).toEqual([]);
});

async function connect(): Promise<pg.Client> {
  const url = new URL(db.url!);
  url.host = `127.0.0.1:${proxy.port}`;
  const client = new pg.Client(url.href);
  client.on('error', () => {});
  await client.connect();
  onTestFinished(() => void client.end().catch(() => {}));
  return client;
}
