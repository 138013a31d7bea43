import { JOB } from './install.js';
import { runIdSql } from './run-ids.js';
import { type Cost, medianCost, Session } from './session.js';

const AT_ONCE = 20;
const WARM = 15;
const ROUNDS = 60;
/** How many runs `measureSettles` leaves behind. */
export const SETTLED = AT_ONCE * (WARM + ROUNDS);

export interface Settles {
  /** For one job of 20 at once. */
  readonly start: Cost;
  readonly settle: Cost;
}

/**
 * Starts and settles 20 jobs at once by the engine's own functions, as a worker does that has room for them, again and
 * again. Their ids follow on those that are there: runs number `next` and after.
 */
export async function measureSettles(url: string, next: number, total: number): Promise<Settles> {
  const session = await Session.open(url);
  try {
    const handlers = (
      await session.query<{ handler_id: number }>('select handler_id from pgflow.handlers')
    ).map(({ handler_id }) => handler_id);
    const [worker] = await session.query<{ id: number }>(
      `select pgflow.register_worker('scale', 3600, $1, ${AT_ONCE}, 1) as id`,
      [handlers],
    );
    const capacity = [worker!.id, handlers];
    const starts: Cost[] = [];
    const settles: Cost[] = [];
    for (let round = 0; round < WARM + ROUNDS; round += 1) {
      const ids = await nextIds(session, next + round * AT_ONCE, total);
      starts.push(await start(session, ids, capacity));
      settles.push(await settle(session, ids, capacity));
    }
    await checkEnded(session, worker!.id);
    return {
      start: medianCost(starts.slice(WARM), AT_ONCE),
      settle: medianCost(settles.slice(WARM), AT_ONCE),
    };
  } finally {
    await session.close();
  }
}

async function nextIds(session: Session, from: number, total: number): Promise<string[]> {
  const rows = await session.query<{ id: string }>(
    `select ${runIdSql('n', total)} as id from generate_series($1::bigint, $2::bigint) n`,
    [from, from + AT_ONCE - 1],
  );
  return rows.map(({ id }) => id);
}

function start(session: Session, ids: readonly string[], capacity: readonly unknown[]): Promise<Cost> {
  return session.cost(
    `select * from pgflow.start_flows(run_ids => $1::uuid[], flow_slugs => $2::text[], inputs => $3::jsonb[],
       given_inputs => array_fill(null::jsonb, array[${AT_ONCE}]), notify => false,
       known_versions => array_fill(1, array[${AT_ONCE}]), claimant => $4::int, claimant_handlers => $5::int[], slots => ${AT_ONCE})`,
    [ids, ids.map(() => JOB), ids.map(() => '{"n":1}'), ...capacity],
  );
}

function settle(session: Session, ids: readonly string[], capacity: readonly unknown[]): Promise<Cost> {
  const each = <T>(value: T) => ids.map(() => value);
  return session.cost(
    `select * from pgflow.settle_tasks($1::uuid[], $2::int[], $3::int[], $4::int[], $5::text[], $6::jsonb[], $7::text[],
       $8::float8[], false, $9::int, $10::int[], ${AT_ONCE})`,
    [ids, each(0), each(0), each(1), each('completed'), each('1'), each(null), each(null), ...capacity],
  );
}

/** What did nothing must not pass for fast. */
async function checkEnded(session: Session, worker: number): Promise<void> {
  const [row] = await session.query<{ ended: number }>(
    `select count(*)::int as ended from pgflow.step_tasks where worker_id = $1 and status = 'completed'`,
    [worker],
  );
  if (row!.ended !== SETTLED) throw new Error(`${row!.ended} of ${SETTLED} jobs completed.`);
}
