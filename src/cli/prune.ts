import { Command, InvalidArgumentError } from 'commander';
import { readDuration } from '../flow/duration.js';
import { createPgFlow } from '../index.js';
import { type DatabaseOptions, databaseOptions, existingDatabase } from './database-options.js';
import { printableJson } from './terminal.js';

interface PruneCommandOptions extends DatabaseOptions {
  readonly olderThan: string;
  readonly batch?: number;
  readonly json?: boolean;
}

export function pruneCommand(): Command {
  return databaseOptions(new Command('prune'))
    .description('Delete runs that ended long ago, in small transactions. Runs under way never go.')
    .requiredOption('--older-than <age>', 'runs that ended longer ago: 90s, 15m, 12h, 30d', checkAge)
    .option('--batch <runs>', 'runs that one transaction deletes, 1 to 10000 (default: 500)', readBatch)
    .option('--json', 'print { pruned } as JSON, and no progress')
    .addHelpText(
      'after',
      `
Ctrl-C ends it after the batch under way; run it again to go on. Exit code 130 then.

Examples:
  $ DATABASE_URL=postgres://app@db/app npx pgflow-live prune --older-than 30d
  $ npx pgflow-live prune --older-than 12h --batch 100 --json
  0 3 * * *  npx pgflow-live prune --older-than 90d     # from cron, each night`,
    )
    .action(prune);
}

async function prune({ olderThan, batch, json, ...options }: PruneCommandOptions): Promise<void> {
  const database = existingDatabase(options);
  const pgflow = await createPgFlow({ database, schema: options.schema, migrate: false, worker: false });
  const interrupted = new AbortController();
  const interrupt = () => interrupted.abort();
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  const progress = new Progress(json ? undefined : process.stderr);
  try {
    const { pruned } = await pgflow.prune({
      olderThan,
      batch,
      signal: interrupted.signal,
      onProgress: (soFar) => progress.show(`${soFar} runs deleted`),
    });
    progress.end();
    if (json) console.log(printableJson({ pruned }));
    else console.log(`Deleted ${pruned} runs that ended more than ${olderThan} ago.`);
    if (interrupted.signal.aborted) process.exitCode = 130;
  } finally {
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
    await pgflow.stop();
  }
}

/** Milliseconds between two lines where lines stay. */
const PACE = 5_000;

/** On a terminal one line that changes; in a log a line now and then. */
class Progress {
  readonly #stream: NodeJS.WriteStream | undefined;
  #shownAt = Number.NEGATIVE_INFINITY;

  constructor(stream: NodeJS.WriteStream | undefined) {
    this.#stream = stream;
  }

  show(text: string): void {
    if (this.#stream?.isTTY) {
      this.#stream.write(`\r${text}`);
    } else if (performance.now() - this.#shownAt >= PACE) {
      this.#stream?.write(`${text}\n`);
    } else {
      return;
    }
    this.#shownAt = performance.now();
  }

  end(): void {
    if (this.#stream?.isTTY && this.#shownAt > 0) this.#stream.write('\n');
  }
}

function checkAge(text: string): string {
  try {
    readDuration(text, '--older-than', 'olderThan');
    return text;
  } catch {
    throw new InvalidArgumentError('Give a number with its unit: 90s, 15m, 12h or 30d.');
  }
}

function readBatch(text: string): number {
  const batch = Number(text);
  if (/^\d+$/.test(text) && batch >= 1 && batch <= 10_000) return batch;
  throw new InvalidArgumentError('Give a whole number from 1 to 10000.');
}
