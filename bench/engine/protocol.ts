import { execFileSync } from 'node:child_process';
import { cpus, totalmem } from 'node:os';
import { FILLINGS } from './conditions.js';
import { CONTENDERS, DRAINED } from './contenders.js';
import { versionOfNode, versionOfPeer } from './peers.js';
import { number } from './print.js';

export interface Setting {
  readonly rounds: number;
  readonly quick: boolean;
  /** Of the machine before the bench began: what others do meanwhile. */
  readonly load: number;
  readonly server: string;
  readonly settings: string;
  readonly redis: string | null;
}

const QUICK =
  ' **This was a quick run**, of a tenth of the counts and less: it says that all works, not how fast.';

/** What was measured, on what, and how: enough to do it again. */
export function describeProtocol({ rounds, quick, load, server, settings, redis }: Setting): string {
  return `\`npm run bench:engine\`, ${today()}, commit ${commit()}: medians of ${rounds} rounds, with their spread; ratios are medians of
the ratios within each round. Shared machines are noisy: compare ratios before figures.${quick ? QUICK : ''}

- **Machine**: ${cpus().length} × ${cpus()[0]?.model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GB; database and processes on the same machine. Load
  before the first measurement: ${load.toFixed(1)}.
- **Database**: ${server}, one server for all, stock but for its address and its 200 connections: ${settings}.
- **Redis**: ${redis ?? 'none here, so BullMQ is missing'}${redis ? ', appendonly off, no snapshots' : ''}.
- **Processes**: each measurement is a process of its own, on Node ${versionOfNode()}, which the peers need and which we run on
  too; we as built in dist. It starts the work and does it. The order of a round goes backwards every other time.
- **Fresh**: a new database and the engine's tables as it creates them, after a warm-up of a tenth; nothing is analysed but
  what autovacuum gets to. **Analysed**: the same, and \`ANALYZE\` of all tables before what is measured; in bulk between
  the enqueuing and the processing. The time it takes does not count.
- **Clock**: from the first call until the rows say that all has ended.
- **Filled**: \`finished\`: ${number(FILLINGS.finished)} runs that completed in the last month, half jobs, half of three steps, copied in SQL from
  runs of the engine, then \`VACUUM ANALYZE\`. \`foreign\`: ${number(FILLINGS.foreign)} due tasks of a job that the worker does not have.
  \`delayed\`: ${number(FILLINGS.delayed)} tasks of its own job, due tomorrow. Each is one database for all rounds.
- **Live**: \`live-off\` has a pubsub that drops everything; \`live-on\` is the default, with 100 of the runs, evenly spread, each
  watched until it has completed, which counts. What is not under a condition of live is the default, unwatched.
- **Workers**: ${number(DRAINED)} three-step runs and ${number(DRAINED)} jobs, started by a process without a worker, drained by one and by two
  worker processes of \`concurrency: 100\`.
- **PGlite**: in the measuring process, in a folder, a fifth of the counts, in the first round only.
- **Idle**: one job at a time, 300 samples a round, 5 to 15 ms after the one before has ended.

| | version | configuration |
| --- | --- | --- |
${CONTENDERS.map(({ name, peer, configuration }) => `| ${name} | ${peer ? versionOfPeer(peer) : 'this commit'} | ${configuration} |`).join('\n')}`;
}

export function today(): string {
  return new Date().toISOString().slice(0, 10);
}

/** With a mark if what was measured is not what was committed. */
export function commit(): string {
  const git = (...args: string[]) => execFileSync('git', args, { encoding: 'utf8' }).trim();
  return `${git('rev-parse', '--short', 'HEAD')}${git('status', '--porcelain', 'src') === '' ? '' : ' with changes'}`;
}
