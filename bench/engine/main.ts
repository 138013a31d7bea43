import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { runCommand } from '../../scripts/run-command.js';
import { measureCommits } from '../commit-limit.js';
import type { Figures } from '../measured/assignment.js';
import { isFilled } from './conditions.js';
import { type Databases, startDatabases } from './databases.js';
import { runMeasured } from './measured-process.js';
import { measureMemory } from './memory.js';
import { type Options, readOptions } from './options.js';
import { BENCH, installPeers } from './peers.js';
import { type Measurement, planRound } from './plan.js';
import { number } from './print.js';
import { describeProtocol } from './protocol.js';
import { type RedisServer, startRedis } from './redis.js';
import { reportFigures } from './report.js';
import type { Result } from './results.js';
import { withFigures, withMemory } from './results-file.js';

const RESULTS = join(BENCH, 'results.md');
const COMMITS = 10_000;
/** What `--quick` does of the large ones. */
const QUICK_SHARE = 0.02;

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(1));
const options = readOptions(process.argv.slice(2));
if (options) await bench(options);

async function bench(options: Options): Promise<void> {
  installPeers();
  console.log('Building dist …');
  if ((await runCommand('npm', ['run', '--silent', 'build'])) !== 0) throw new Error('The build failed.');
  const databases = await startDatabases();
  try {
    if (options.memory) await benchMemory(databases, options);
    else await benchEngines(databases, options);
  } finally {
    await databases.remove();
  }
}

async function benchMemory(databases: Databases, options: Options): Promise<void> {
  const section = await measureMemory(databases, options.quick ? QUICK_SHARE : 1);
  console.log(section);
  if (!options.quick) rewrite((file) => withMemory(file, section));
}

async function benchEngines(databases: Databases, options: Options): Promise<void> {
  const needsRedis = planRound(options, 1).some(({ contender }) => contender.store === 'redis');
  const [load = 0] = loadavg();
  const redis = needsRedis ? await startRedis() : null;
  try {
    await fillDatabases(databases, options);
    const results: Result[] = [];
    const commits = new Map<number, number>();
    for (let round = 1; round <= options.rounds; round += 1) {
      commits.set(round, await databases.withFresh((url) => measureCommits(url, 20, COMMITS)));
      results.push(...(await measureRound(databases, redis, options, round)));
    }
    const { server, settings } = databases;
    const { rounds, quick } = options;
    const protocol = describeProtocol({ rounds, quick, load, server, settings, redis: redis?.name ?? null });
    const text = `# Benchmark\n\n${protocol}\n\n${reportFigures(results, commits)}`;
    console.log(`\n${text}\n`);
    if (options.complete) rewrite((file) => withFigures(file, text));
    else console.log('Not all was measured in full, so bench/results.md stays as it is.');
    if (results.some(({ figures }) => figures === null)) process.exitCode = 1;
  } finally {
    await redis?.remove();
  }
}

/** Before the first round, so that no measurement runs in the wake of it. */
async function fillDatabases(databases: Databases, options: Options): Promise<void> {
  for (const condition of new Set(planRound(options, 1).map((measurement) => measurement.condition))) {
    if (isFilled(condition)) await databases.filled(condition, options.quick ? QUICK_SHARE : 1);
  }
}

async function measureRound(
  databases: Databases,
  redis: RedisServer | null,
  options: Options,
  round: number,
): Promise<Result[]> {
  const plan = planRound(options, round).filter(({ contender }) => contender.store === 'postgres' || redis);
  const results: Result[] = [];
  for (const [index, measurement] of plan.entries()) {
    const { work, contender, condition } = measurement;
    const where = `round ${round} of ${options.rounds}, ${index + 1} of ${plan.length}`;
    const start = performance.now();
    const figures = await measure(databases, redis, measurement, options.quick).catch((error: Error) => {
      console.error(`FAILED: ${error.message}`);
      return null;
    });
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    console.log(`${where}: ${work}, ${contender.name}, ${condition}: ${brief(figures)} (${seconds} s)`);
    results.push({ round, measurement, figures });
  }
  return results;
}

function measure(
  databases: Databases,
  redis: RedisServer | null,
  { work, contender, condition, program, variant, count, warmUp }: Measurement,
  quick: boolean,
): Promise<Figures> {
  const run = (url: string) =>
    runMeasured(program, { work, url, count, warmUp, variant, analyse: condition === 'analysed' });
  if (contender.store === 'redis') return run(redis!.url);
  if (condition === 'pglite') return run('pglite');
  if (isFilled(condition)) return databases.filled(condition, quick ? QUICK_SHARE : 1).then(run);
  return databases.withFresh(run);
}

function rewrite(change: (file: string) => string): void {
  writeFileSync(RESULTS, change(existsSync(RESULTS) ? readFileSync(RESULTS, 'utf8') : ''));
}

/** For the line of progress. */
function brief(figures: Figures | null): string {
  if (figures === null) return 'failed';
  const rates = Object.entries(figures.rates ?? {}).map(([name, value]) => `${name} ${number(value)}/s`);
  const samples = Object.entries(figures.samples ?? {}).map(
    ([name, values]) => `${name} ${[...values].sort((a, b) => a - b)[values.length >> 1]?.toFixed(1)} ms`,
  );
  return [...rates, ...samples].join(', ');
}
