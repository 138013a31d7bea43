import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import pg from 'pg';
import { startPostgres } from '../test/harness/postgres-server.js';
import { measureCommits } from './commit-limit.js';
import { median, quantile } from './measure.js';
import { measureJobs, measureLatency, measureLinearRuns, openBench } from './workloads.js';

const ROUNDS = 3;
const RUNS = 3000;
const JOBS = 8000;
const LATENCIES = 300;
const COMMITS = 10_000;

const server = await startPostgres({ fsync: 'on', full_page_writes: 'on' });
const rounds = [];
try {
  for (let round = 1; round <= ROUNDS; round += 1) {
    console.log(`round ${round} of ${ROUNDS} on ${server.name}`);
    rounds.push(await measureRound(`bench_${round}`));
  }
} finally {
  await server.remove();
}
report(rounds);

/** Each round on tables of its own, never analysed. */
async function measureRound(database: string) {
  const url = await createDatabase(database);
  const commits = await measureCommits(url, 20, COMMITS);
  const busy = await openBench(url, 100);
  const linear = await measureLinearRuns(busy, RUNS);
  const jobs = await measureJobs(busy, JOBS);
  await busy.stop();
  const idle = await openBench(url, 10);
  await measureLatency(idle, 50); // plans and JIT
  const latency = await measureLatency(idle, LATENCIES);
  await idle.stop();
  return { commits, linear, jobs, ...latency };
}

async function createDatabase(name: string): Promise<string> {
  const client = new pg.Client(server.url());
  await client.connect();
  await client.query(`create database ${name}`);
  await client.end();
  return server.url(name);
}

function report(all: readonly Awaited<ReturnType<typeof measureRound>>[]): void {
  const commits = median(all.map((round) => round.commits));
  const rate = (name: string, of: (round: (typeof all)[number]) => number) => {
    const values = all.map(of);
    const spread = `${Math.round(Math.min(...values))} to ${Math.round(Math.max(...values))}`;
    return `| ${name} | ${Math.round(median(values))} | ${spread} | ${(median(values) / commits).toFixed(2)} |`;
  };
  const latency = (name: string, of: (round: (typeof all)[number]) => number[]) => {
    const values = all.flatMap(of);
    return `| ${name} | ${quantile(values, 0.5).toFixed(1)} | ${quantile(values, 0.99).toFixed(1)} |`;
  };
  const text = `# Benchmark

\`npm run bench\`, ${new Date().toISOString().slice(0, 10)}: ${server.name}, fsync on, tables never analysed; Node ${process.version};
${cpus().length} × ${cpus()[0]?.model.trim()}, database and Node on the same machine. Medians of ${ROUNDS} rounds.
Shared machines are noisy: compare the last column, not the first.

| work | per second | spread | × one-row commits |
|---|---|---|---|
${rate('one-row commits, 20 connections: the limit of one commit per item', (round) => round.commits)}
${rate('three-step runs, 20 callers, started and driven', (round) => round.linear)}
${rate('single jobs, enqueued one by one by 20 callers, processed', (round) => round.jobs)}

| idle latency, one at a time | p50 ms | p99 ms |
|---|---|---|
${latency('`enqueue` → the handler begins', (round) => round.toHandler)}
${latency('`enqueue` → a watcher in this process sees it completed', (round) => round.toWatcher)}

A three-step run needs at least one commit for its start and one for each step that ends, so without grouping commits
it could not pass 0.25 in the last column.
Commit ${execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim()}.
`;
  writeFileSync(new URL('results.md', import.meta.url), text);
  console.log(text);
}
