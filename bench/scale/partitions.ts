import { median } from '../measure.js';
import { firstOfMonth, MONTHS, runIdSql } from './run-ids.js';
import { type Cost, medianCost, type Session } from './session.js';

const LOOKUPS = 20_000;
const AT_ONCE = 20;
const ROUNDS = 40;

export interface Partitions {
  /** Partitions that a plan for any id leaves out when it is executed, of 12. */
  readonly pruned: number;
  /** CPU of one statement with one id, in microseconds. */
  readonly one: { readonly plain: number; readonly partitioned: number };
  /** Of one row of 20 that one statement updates. By place: as the engine does, by the row's ctid. */
  readonly byPlace: { readonly plain: Cost };
  readonly byKey: { readonly plain: Cost; readonly partitioned: Cost };
  /** Rows that an update of 20 by their ctid alters when the table is partitioned. */
  readonly alteredByPlace: number;
}

/** Twelve monthly partitions beside a plain table with the same rows. */
export async function measurePartitions(session: Session, plain: string, count: number): Promise<Partitions> {
  const parts = 'scale.parts';
  await session.query(
    `create table ${parts} (like ${plain}, primary key (run_id, step_index, task_index)) partition by range (run_id)`,
  );
  for (let month = 0; month < MONTHS; month += 1) {
    await session.query(`create table ${parts}_${month} partition of ${parts}
      for values from ('${firstOfMonth(month)}') to ('${firstOfMonth(month + 1)}')`);
  }
  await session.query(`create table ${parts}_other partition of ${parts} default`);
  await session.query(`insert into ${parts} select * from ${plain}`);
  await session.query(`vacuum analyze ${parts}`);
  await session.query(`vacuum analyze ${plain}`);
  // As the engine's functions have it.
  for (const name of ['seqscan', 'hashjoin', 'mergejoin', 'bitmapscan']) {
    await session.query(`set enable_${name} = off`);
  }
  await session.query('set plan_cache_mode = force_generic_plan');
  const recent = (count / MONTHS) * 0.5;
  const byPlace = (table: string) => updates(session, table, 't.ctid = x.tid', [count, recent]);
  const byKey = (table: string) => updates(session, table, KEY, [count, recent]);
  return {
    pruned: await countPruned(session, parts),
    one: {
      plain: await lookUpOneByOne(session, plain, [count, recent]),
      partitioned: await lookUpOneByOne(session, parts, [count, recent]),
    },
    byPlace: { plain: await byPlace(plain) },
    byKey: { plain: await byKey(plain), partitioned: await byKey(parts) },
    alteredByPlace: await countAltered(session, parts, [count, recent]),
  };
}

const KEY = 't.run_id = x.run_id and t.step_index = 0 and t.task_index = 0';
const WHOLE_KEY = 'k.step_index = 0 and k.task_index = 0';

async function countPruned(session: Session, table: string): Promise<number> {
  await session.query(
    `prepare one(uuid) as select k.claim from ${table} k where k.run_id = $1 and ${WHOLE_KEY}`,
  );
  const rows = await session.query<{ 'QUERY PLAN': string }>(
    `explain (costs off) execute one('${firstOfMonth(3)}')`,
  );
  const plan = rows.map((row) => row['QUERY PLAN']).join('\n');
  return Number(/Subplans Removed: (\d+)/.exec(plan)?.[1] ?? 0);
}

/** A loop in the server, so that nothing but the statement counts. */
async function lookUpOneByOne(
  session: Session,
  table: string,
  [count, recent]: readonly [number, number],
): Promise<number> {
  const loop = `do $$
    declare _ids uuid[] := array(select ${runIdSql(`(${count - 1} - n % ${recent})::bigint`, count)}
      from generate_series(1, ${LOOKUPS}) n);
    begin
      for i in 1 .. ${LOOKUPS} loop
        perform k.claim from ${table} k where k.run_id = _ids[i] and ${WHOLE_KEY};
      end loop;
    end $$`;
  const times: number[] = [];
  for (let round = 0; round < 5; round += 1) {
    const before = session.cpu();
    await session.query(loop);
    times.push(((session.cpu() - before) * 1000) / LOOKUPS);
  }
  return median(times);
}

function updateStatement(table: string, where: string): string {
  return `update ${table} t set claim = t.claim + 1
    from (select b.run_id, k.tid from unnest($1::uuid[]) b(run_id) cross join lateral (
      select k.ctid as tid from ${table} k where k.run_id = b.run_id and ${WHOLE_KEY} offset 0
    ) k) x where ${where}`;
}

async function updates(
  session: Session,
  table: string,
  where: string,
  [count, recent]: readonly [number, number],
): Promise<Cost> {
  const costs: Cost[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const ids = await someIds(session, count, recent);
    costs.push(await session.cost(updateStatement(table, where), [ids]));
  }
  return medianCost(costs, AT_ONCE);
}

async function countAltered(
  session: Session,
  table: string,
  [count, recent]: readonly [number, number],
): Promise<number> {
  const ids = await someIds(session, count, recent);
  const rows = await session.query(`${updateStatement(table, 't.ctid = x.tid')} returning 1`, [ids]);
  return rows.length;
}

async function someIds(session: Session, count: number, recent: number): Promise<string[]> {
  const rows = await session.query<{ id: string }>(
    `select ${runIdSql('n', count)} as id from (
       select distinct (${count - 1} - floor(random() * ${recent}))::bigint as n from generate_series(1, 60)
     ) n limit ${AT_ONCE}`,
  );
  return rows.map(({ id }) => id);
}
