import { parseArgs } from 'node:util';

export const PARTS = ['latency', 'client', 'watchers'] as const;
export type Part = (typeof PARTS)[number];

export interface Options {
  readonly parts: readonly Part[];
  readonly quick: boolean;
  /** Whether everything is measured in full, so that the results may be kept. */
  readonly complete: boolean;
}

const HELP = `Measures how runs are watched: across processes, over PostgreSQL and Redis; and the client, beside peers.

npm run bench:live -- [options]

  --only PARTS  of ${PARTS.join(', ')}
  --quick       small counts: to see that all works, not to compare
  --help        this

  latency   from a commit in one process to the live run in another, beside BullMQ's QueueEvents
  client    applyChange and the heap of tracked runs, beside @pgflow/client
  watchers  10,000 watchers of one run, and of 10,000 runs

A whole run writes bench/results-live.md. With --only or --quick the results are printed, and the file stays as it is.

Examples:
  npm run bench:live
  npm run bench:live -- --quick
  npm run bench:live -- --only client`;

/** Null when only help was asked for. Ends the process with 2 when the options make no sense. */
export function readOptions(args: readonly string[]): Options | null {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        only: { type: 'string' },
        quick: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) {
      console.log(HELP);
      return null;
    }
    const parts = readParts(values.only);
    return { parts, quick: values.quick, complete: !values.quick && parts.length === PARTS.length };
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${HELP}`);
    process.exit(2);
  }
}

function readParts(given: string | undefined): readonly Part[] {
  if (given === undefined) return PARTS;
  const names = given.split(',').map((name) => name.trim());
  const unknown = names.filter((name) => !PARTS.includes(name as Part));
  if (unknown.length > 0) throw new Error(`--only: there is no ${unknown.join(', ')}.`);
  return PARTS.filter((part) => names.includes(part));
}
