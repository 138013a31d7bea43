import { number, table } from '../engine/print.js';
import type { Keys } from './keys.js';
import type { Partitions } from './partitions.js';
import type { Pruned } from './prune.js';
import type { Settles } from './settle.js';
import type { Tree } from './tree.js';

export interface Grown extends Settles {
  readonly size: number;
  readonly isSparse: boolean;
  /** Of the key of runs. */
  readonly tree: Tree;
}

const one = (value: number) => value.toFixed(1);
const microseconds = (milliseconds: number) => `${(milliseconds * 1000).toFixed(1)} µs`;
const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;

export function reportSettles(grown: readonly Grown[]): string {
  return table(
    [
      'finished runs',
      'levels of runs_pkey',
      'start: pages, CPU',
      'settle: pages, not in memory, CPU (a job of 20)',
    ],
    grown.map(({ size, isSparse, tree, start, settle }) => [
      `${number(size)}${isSparse ? ', sparse leaves' : ''}`,
      String(tree.height),
      `${one(start.pages)}, ${microseconds(start.cpu)}`,
      `${one(settle.pages)}, ${one(settle.read)}, ${microseconds(settle.cpu)}`,
    ]),
  );
}

export function reportKeys(keys: readonly Keys[]): string {
  return table(
    [
      'keys',
      'ids',
      'levels',
      'size',
      'lookup: pages, not in memory, CPU',
      'insert: pages, not in memory, CPU',
      'WAL bytes, page images',
    ],
    keys.map(({ count, ids, tree, lookup, insert }) => [
      number(count),
      ids,
      String(tree.height),
      megabytes(tree.bytes),
      `${one(lookup.pages)}, ${lookup.read.toFixed(2)}, ${microseconds(lookup.cpu)}`,
      `${one(insert.pages)}, ${insert.read.toFixed(2)}, ${microseconds(insert.cpu)}`,
      `${number(insert.walBytes)}, ${insert.pageImages.toFixed(2)}`,
    ]),
  );
}

export function reportPrune({ deleted, dropped }: Pruned): string {
  const perSecond = ({ runs, milliseconds }: { runs: number; milliseconds: number }) =>
    number((runs / milliseconds) * 1000);
  return table(
    [
      'away with',
      'ms',
      'runs/s',
      'CPU ms',
      'WAL bytes for a run',
      'page images',
      'dead rows',
      'vacuum: ms, WAL',
    ],
    [
      [
        `${number(deleted.runs)} runs, deleted`,
        number(deleted.milliseconds),
        perSecond(deleted),
        number(deleted.cpu),
        number(deleted.walBytes / deleted.runs),
        number(deleted.pageImages),
        number(deleted.deadRows),
        `${number(deleted.vacuumMilliseconds)}, ${megabytes(deleted.vacuumWalBytes)}`,
      ],
      [
        `${number(dropped.runs)} runs, dropped`,
        number(dropped.milliseconds),
        perSecond(dropped),
        '–',
        `${number(dropped.walBytes)} in all`,
        '–',
        '0',
        '–',
      ],
    ],
  );
}

export function reportPartitions({ pruned, one: each, byPlace, byKey, alteredByPlace }: Partitions): string {
  const cost = ({ pages, cpu }: { pages: number; cpu: number }) =>
    `${one(pages)} pages, ${microseconds(cpu)}`;
  return `A generic plan leaves out ${pruned} of 13 partitions (one is the default).\n\n${table(
    ['of 12 months', 'plain', 'partitioned'],
    [
      ['lookup of one', `${one(each.plain)} µs`, `${one(each.partitioned)} µs`],
      ['update, one of 20, by ctid', cost(byPlace.plain), `alters ${alteredByPlace} rows instead of 20`],
      ['update, one of 20, by key', cost(byKey.plain), cost(byKey.partitioned)],
    ],
  )}`;
}
