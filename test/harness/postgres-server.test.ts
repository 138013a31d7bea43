import pg from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { startChild } from './child.js';
import { startPostgres } from './postgres-server.js';

test('keeps what was committed through a crash, on the same port', async () => {
  const server = await startPostgres({ max_connections: '15' });
  onTestFinished(() => server.remove());
  const before = await connect(server.url());
  await before.query('create table kept as select 1 as value');
  const lost = new Promise<Error>((resolve) => {
    before.on('error', resolve);
  });

  await server.restart('immediate');

  await expect(before.query('select 1')).rejects.toThrow();
  expect(await lost).toBeInstanceOf(Error);
  const after = await connect(server.url());
  expect((await after.query('table kept')).rows).toEqual([{ value: 1 }]);
  expect((await after.query('show max_connections')).rows).toEqual([{ max_connections: '15' }]);
});

test('is gone while it is down', async () => {
  const server = await startPostgres();
  onTestFinished(() => server.remove());

  await server.shutDown('fast');
  await expect(connect(server.url())).rejects.toThrow('ECONNREFUSED');

  await server.start();
  expect((await (await connect(server.url())).query('select 2 as two')).rows).toEqual([{ two: 2 }]);
});

test('the next start stops the server of a process that was killed', async () => {
  await using owner = startChild('test/harness/fixtures/server-owner.ts');
  const [, url] = await owner.waitForLine(/^serving (.*)/);
  owner.kill('SIGKILL');
  await owner.exited;
  await connect(url!);

  const server = await startPostgres();
  onTestFinished(() => server.remove());

  await expect(connect(url!)).rejects.toThrow('ECONNREFUSED');
});

async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client(url);
  client.on('error', () => {});
  await client.connect();
  onTestFinished(() => client.end().catch(() => {}));
  return client;
}
