import { parseArgs } from 'node:util';
import { CONDITIONS, type Condition } from './conditions.js';
import { CONTENDERS } from './contenders.js';
import { WORKS } from './works.js';

export interface Options {
  readonly works: readonly string[];
  readonly contenders: readonly string[];
  readonly conditions: readonly string[];
  readonly rounds: number;
  readonly quick: boolean;
  readonly memory: boolean;
  /** Whether everything is measured in full, so that the results may be kept. */
  readonly complete: boolean;
}

const HELP = `Measures this engine and its peers side by side on one real PostgreSQL (fsync on), and BullMQ on Redis.

npm run bench:engine -- [options]

  --only WORKS      of ${Object.keys(WORKS).join(', ')}
  --who CONTENDERS  of ${CONTENDERS.map(({ id }) => id).join(', ')}
  --with CONDITIONS of ${CONDITIONS.join(', ')}
  --rounds N        default 3, at least 1
  --quick           small counts and one round: to see that all works, not to compare
  --memory          only the memory of a worker over 1,000,000 tasks; takes minutes
  --help            this

A whole run writes bench/results.md; --memory writes its section there. With --only, --who, --with or --quick the
results are printed, and bench/results.md stays as it is.

Examples:
  npm run bench:engine
  npm run bench:engine -- --quick
  npm run bench:engine -- --only linear,dag --who ours --with analysed --rounds 1
  npm run bench:engine -- --only idle --who ours,bullmq
  npm run bench:engine -- --memory`;

/** Null when only help was asked for. Ends the process with 2 when the options make no sense. */
export function readOptions(args: readonly string[]): Options | null {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        only: { type: 'string' },
        who: { type: 'string' },
        with: { type: 'string' },
        rounds: { type: 'string' },
        quick: { type: 'boolean', default: false },
        memory: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) {
      console.log(HELP);
      return null;
    }
    return {
      works: choose('--only', values.only, Object.keys(WORKS)),
      contenders: choose(
        '--who',
        values.who,
        CONTENDERS.map(({ id }) => id),
      ),
      conditions: choose('--with', values.with, CONDITIONS as readonly Condition[]),
      rounds: readRounds(values.rounds ?? (values.quick ? '1' : '3')),
      quick: values.quick,
      memory: values.memory,
      complete:
        !(values.only || values.who || values.with || values.quick) && readRounds(values.rounds ?? '3') >= 3,
    };
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${HELP}`);
    process.exit(2);
  }
}

function choose(option: string, given: string | undefined, all: readonly string[]): readonly string[] {
  if (given === undefined) return all;
  const chosen = given.split(',').map((name) => name.trim());
  const unknown = chosen.filter((name) => !all.includes(name));
  if (unknown.length > 0) throw new Error(`${option}: there is no ${unknown.join(', ')}.`);
  return chosen;
}

function readRounds(text: string): number {
  const rounds = Number(text);
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error('--rounds takes a whole number, 1 or more.');
  return rounds;
}
