import { randomUUID } from 'node:crypto';
import { v7 as uuidv7 } from 'uuid';
import { runIdSql } from './run-ids.js';
import { type Cost, medianCost, type Session } from './session.js';
import { readTree, type Tree } from './tree.js';

const BATCH = 1000;
const BATCHES = 20;

/** Ids as the engine makes them, or at random, as callers may give. */
export type Ids = 'v7' | 'v4';

export interface Keys {
  readonly ids: Ids;
  readonly count: number;
  readonly tree: Tree;
  /** Of one new key. */
  readonly insert: Cost;
  /** Of one of the 20,000 keys that came last, in any order. */
  readonly lookup: Cost;
}

/** A table with the primary key of run_steps and one number beside it: the same tree, in a twentieth of the space. */
export async function createKeys(session: Session, ids: Ids, count: number): Promise<string> {
  const name = `scale.keys_${ids}_${count}`;
  const id = ids === 'v7' ? runIdSql('n', count) : 'gen_random_uuid()';
  await session.query('create schema if not exists scale');
  await session.query(`set maintenance_work_mem = '512MB'`);
  await session.query(
    `create table ${name} with (autovacuum_enabled = off) as
     select ${id} as run_id, 0 as task_index, 0 as step_index, 1 as claim from generate_series(0, ${count - 1}) n`,
  );
  await session.query(`alter table ${name} add constraint keys_${ids}_${count}_pkey
    primary key (run_id, task_index, step_index)`);
  await session.query('checkpoint');
  return name;
}

export async function measureKeys(session: Session, ids: Ids, count: number): Promise<Keys> {
  const table = await createKeys(session, ids, count);
  const tree = await readTree(session, `${table}_pkey`);
  const inserts: Cost[] = [];
  const recent: string[] = [];
  for (let batch = 0; batch < BATCHES; batch += 1) {
    const keys = Array.from({ length: BATCH }, () => (ids === 'v7' ? uuidv7() : randomUUID()));
    inserts.push(
      await session.cost(
        `insert into ${table} select b, 0, 0, 1 from unnest($1::uuid[]) with ordinality u(b, n) order by n`,
        [keys],
      ),
    );
    recent.push(...keys);
  }
  const lookups: Cost[] = [];
  for (let batch = 0; batch < BATCHES; batch += 1) {
    lookups.push(await lookUp(session, table, sample(recent)));
  }
  return { ids, count, tree, insert: medianCost(inserts, BATCH), lookup: medianCost(lookups, BATCH) };
}

/** As the engine's functions look up: driven by the batch, each by its whole key. */
function lookUp(session: Session, table: string, keys: readonly string[]): Promise<Cost> {
  return session.cost(
    `select k.claim from unnest($1::uuid[]) b(run_id) cross join lateral (
       select k.claim from ${table} k where k.run_id = b.run_id and k.task_index = 0 and k.step_index = 0 offset 0
     ) k`,
    [keys],
  );
}

function sample(keys: readonly string[]): string[] {
  return Array.from({ length: BATCH }, () => keys[Math.floor(Math.random() * keys.length)]!);
}
