/** A database that answers and does no work: full, read-only, out of connections. Tasks wait; none fails for it. */
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chownSync, mkdtempSync, rmdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { defineJob } from '../../src/flow/define-job.js';
import type { Health } from '../../src/postgres/health.js';
import { scripted } from '../engine/scripted.js';
import { serverUser } from '../harness/postgres-binaries.js';
import { createFaultyWorld, type FaultyWorld, ownServer } from './faulty-world.js';
import { reported } from './reported.js';

const MINUTES = { timeout: 120_000 };
const WORKER = { lease: 20, pollInterval: 0.5 };

/** Ends a task while the fault lasts, until settling has failed; then mends it, and the same result counts. Returns the health meanwhile. */
async function endDuring(
  world: FaultyWorld,
  output: unknown,
  { inflict, mend, port }: { inflict(): Promise<unknown>; mend(): Promise<unknown>; port?: number },
): Promise<Health> {
  const mail = scripted();
  const job = defineJob({ slug: 'mail', maxAttempts: 1 }, mail.handler);
  const pgflow = await world.open({ jobs: [job], worker: WORKER }, port);
  const run = await pgflow.track((await pgflow.enqueue(job, {})).runId);
  const call = await mail.next();
  await expect.poll(() => run.getSnapshot().step('mail').status).toBe('started');
  const failure = reported(/Settling tasks failed/);

  await inflict();
  call.complete(output);
  await failure;
  const health = await pgflow.health();
  await mend();

  expect((await run.waitFor('completed', { timeout: 30 })).output).toEqual(output);
  expect(mail.calls).toHaveLength(1);
  const next = await pgflow.track((await pgflow.enqueue(job, {})).runId);
  (await mail.next()).complete('too');
  await next.waitFor('completed', { timeout: 30 });
  return health;
}

test('read-only: the result waits, health says so, and work goes on', MINUTES, async () => {
  const server = await ownServer();
  const world = await createFaultyWorld(server);
  const admin = new pg.Client(server.url());
  await admin.connect();
  onTestFinished(() => admin.end());
  const isReadOnly = async () => (await world.db.query('show default_transaction_read_only'))[0];
  const set = async (value: 'on' | 'off') => {
    await admin.query('set default_transaction_read_only = off');
    await admin.query(`alter system set default_transaction_read_only = ${value}`);
    await admin.query('select pg_reload_conf()');
    await expect.poll(isReadOnly).toEqual({ default_transaction_read_only: value });
  };

  const health = await endDuring(world, 'sent', { inflict: () => set('on'), mend: () => set('off') });

  expect(health).toMatchObject({ ok: false, database: 'unavailable' });
});

test('too many connections: the result waits, health says so, and work goes on', MINUTES, async () => {
  const server = await ownServer({ max_connections: '20' });
  const world = await createFaultyWorld(server);
  const proxy = await world.startProxy();
  const fillers: pg.Client[] = [];
  const mend = () => Promise.all(fillers.splice(0).map((filler) => filler.end()));
  onTestFinished(async () => void (await mend()));

  const health = await endDuring(world, 'sent', {
    port: proxy.port,
    async inflict() {
      proxy.refuse();
      proxy.cut();
      for (let full = false; !full; ) {
        const filler = new pg.Client(server.url());
        filler.on('error', () => {});
        await filler.connect().then(
          () => fillers.push(filler),
          (error) => {
            expect(error.code).toBe('53300');
            full = true;
          },
        );
      }
      proxy.accept();
    },
    mend,
  });

  expect(health).toMatchObject({ ok: false, database: 'unavailable' });
});

test('a full disk: the result waits, and work goes on', MINUTES, async (ctx) => {
  const disk = mkdtempSync(join(tmpdir(), 'pgflow-disk-'));
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', disk]).status === 0;
  onTestFinished(() => {
    if (mounted) spawnSync('umount', ['-l', disk]);
    rmdirSync(disk);
  });
  ctx.skip(!mounted, 'a small disk can only be mounted by root');
  const user = serverUser();
  if (user) chownSync(disk, user.uid, user.gid);
  const server = await ownServer();
  const world = await createFaultyWorld(server);
  await world.db.query(`create tablespace small location '${disk}'`);
  for (const table of ['runs', 'run_steps']) {
    await world.db.query(`alter table pgflow.${table} set tablespace small`);
  }
  const filler = join(disk, 'filler');

  await endDuring(world, randomBytes(300_000).toString('base64'), {
    async inflict() {
      const { bavail, bsize } = statfsSync(disk);
      writeFileSync(filler, Buffer.alloc(bavail * bsize));
    },
    mend: async () => rmSync(filler),
  });
});
