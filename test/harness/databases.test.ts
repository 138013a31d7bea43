import pg from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { createTestDatabase, describeEachDatabase } from './databases.js';

describeEachDatabase('a test database', (kind) => {
  test('is empty and of its own', async () => {
    const [one, two] = await Promise.all([createTestDatabase(kind), createTestDatabase(kind)]);
    onTestFinished(async () => void (await Promise.all([one.close(), two.close()])));
    await one.query('create table orders (id int)');

    const tables = `select relname from pg_class where relname = 'orders'`;

    expect(await one.query(tables)).toEqual([{ relname: 'orders' }]);
    expect(await two.query(tables)).toEqual([]);
  });

  test('gives the same values on both kinds', async () => {
    const db = await createTestDatabase(kind);
    onTestFinished(() => db.close());

    const [row] = await db.query(
      `select $1::int + 1 as int, 5000000000::bigint as big, $2::jsonb as json, null as nothing, '1 s' as text,
              timestamptz '2024-01-01 00:00:00.5Z' as time, array['a', 'b'] as list`,
      [1, JSON.stringify({ a: [1, null] })],
    );

    expect(row).toEqual({
      int: 2,
      big: 5_000_000_000,
      json: { a: [1, null] },
      nothing: null,
      text: '1 s',
      time: new Date('2024-01-01T00:00:00.500Z'),
      list: ['a', 'b'],
    });
  });

  test('can be closed twice', async () => {
    const db = await createTestDatabase(kind);
    await db.close();
    await expect(db.close()).resolves.toBeUndefined();
    await expect(db.query('select 1')).rejects.toThrow();
  });
});

test('closing a PostgreSQL test database drops it, whoever is still connected', async () => {
  const db = await createTestDatabase('postgres');
  const watcher = await createTestDatabase('postgres');
  onTestFinished(() => watcher.close());
  const guest = new pg.Client(db.url);
  const ended = new Promise<Error>((resolve) => {
    guest.on('error', resolve);
  });
  await guest.connect();
  const name = new URL(db.url!).pathname.slice(1);
  const existing = 'select count(*) from pg_database where datname = $1';
  expect(await watcher.query(existing, [name])).toEqual([{ count: 1 }]);

  await db.close();

  expect(await watcher.query(existing, [name])).toEqual([{ count: 0 }]);
  expect(await ended).toBeInstanceOf(Error);
});
