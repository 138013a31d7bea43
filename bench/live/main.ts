import { writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { runCommand } from '../../scripts/run-command.js';
import { type Databases, startDatabases } from '../engine/databases.js';
import { runMeasured } from '../engine/measured-process.js';
import { BENCH, installPeers } from '../engine/peers.js';
import { type RedisServer, startRedis } from '../engine/redis.js';
import type { Figures } from '../measured/assignment.js';
import type { LiveAssignment } from './assignment.js';
import { type Options, readOptions } from './options.js';
import { describeProtocol } from './protocol.js';
import { type LiveResults, reportLive } from './report.js';

const RESULTS = join(BENCH, 'results-live.md');

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(1));
const options = readOptions(process.argv.slice(2));
if (options) await bench(options);

async function bench({ parts, quick, complete }: Options): Promise<void> {
  installPeers();
  console.log('Building dist …');
  if ((await runCommand('npm', ['run', '--silent', 'build'])) !== 0) throw new Error('The build failed.');
  const [load = 0] = loadavg();
  const redis = parts.includes('latency') ? await startRedis() : null;
  const databases = await startDatabases();
  try {
    const results: LiveResults = {
      latency: parts.includes('latency') ? await measureLatency(databases, redis, quick) : {},
      client: parts.includes('client') ? await measureClient(quick) : null,
      watchers: parts.includes('watchers') ? await measureWatchers(databases, quick) : null,
      watched: watchersOf(quick),
    };
    const { server, settings } = databases;
    const protocol = describeProtocol({ quick, load, server, settings, redis: redis?.name ?? null });
    const text = `# Benchmark: live\n\n${protocol}\n\n${reportLive(results)}\n`;
    console.log(`\n${text}`);
    if (complete) writeFileSync(RESULTS, text);
    else console.log('Not all was measured in full, so bench/results-live.md stays as it is.');
  } finally {
    await databases.remove();
    await redis?.remove();
  }
}

async function measureLatency(
  databases: Databases,
  redis: RedisServer | null,
  quick: boolean,
): Promise<LiveResults['latency']> {
  const [count, warmUp] = quick ? [20, 5] : [500, 50];
  const ours = (bus: string | null) =>
    databases.withFresh((url) => measure('live/committed.ts', { url, redis: bus, count, warmUp }));
  const postgres = await ours(null);
  if (redis === null) return { postgres };
  const bullmq = await measure('peers/bullmq-live.ts', { url: '', redis: redis.url, count, warmUp });
  return { postgres, redis: await ours(redis.url), bullmq };
}

/** The count is of tracked runs, the warm-up's of repetitions. */
function measureClient(quick: boolean): Promise<Figures> {
  return measure('peers/pgflow-client.ts', {
    url: '',
    redis: null,
    count: watchersOf(quick),
    warmUp: quick ? 3 : 15,
  });
}

function measureWatchers(databases: Databases, quick: boolean): Promise<Figures> {
  return databases.withFresh((url) =>
    measure('live/watchers.ts', { url, redis: null, count: watchersOf(quick), warmUp: 0 }),
  );
}

function watchersOf(quick: boolean): number {
  return quick ? 500 : 10_000;
}

async function measure(program: string, assignment: LiveAssignment): Promise<Figures> {
  console.log(`${program}${assignment.redis && program.startsWith('live') ? ', over Redis' : ''} …`);
  return runMeasured(program, assignment, { flags: ['--expose-gc'], limit: 600 });
}
