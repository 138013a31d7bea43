import type { TcpProxy } from '../harness/tcp-proxy.js';
import { timeUp } from './fixtures/commands.js';
import { exhaustPool, takeConnections } from './scarce-connections.js';
import { pick, type StormFault, type Strike, wait } from './storm-fault.js';
import { RELIABLE } from './unreliable-bus.js';

/** Longer than a lease. */
const LONG = [2_500, 4_500] as const;
/** What becomes of a process that does not end when it is asked to. */
const STUCK = 90_000;

async function killAndStart(strike: Strike): Promise<void> {
  await strike.process.end('SIGKILL');
  await wait(strike, 100, 1_500);
  await strike.process.start();
}

/** Where a worker kills itself. It may have nothing to do, so it is killed from outside after a while. */
const die = (at: 'handler' | 'effect' | 'publish') => async (strike: Strike) => {
  const { process } = strike;
  process.doom();
  process.tell({ do: 'die', at });
  const ended = process.end();
  await Promise.race([ended, timeUp(4_000)]);
  process.signal('SIGKILL');
  await ended;
  await wait(strike, 100, 1_500);
  await process.start();
};

async function askToStop({ process, stage }: Strike): Promise<void> {
  const ended = process.end('SIGTERM');
  const stuck = timeUp(STUCK).then(() => null);
  const end = await Promise.race([ended, stuck]);
  if (end?.code !== 0) {
    const how = end ? `with code ${end.code}` : `not within ${STUCK / 1000} s`;
    stage.ledger.wrong.push(`${process.name} was told to stop and ended ${how}`);
    await process.end('SIGKILL');
  }
  await process.start();
}

const freezeFor = (from: number, to: number) => async (strike: Strike) => {
  strike.process.signal('SIGSTOP');
  await wait(strike, from, to);
  strike.process.signal('SIGCONT');
};

async function halfOpen(proxy: TcpProxy, strike: Strike, from: number, to: number): Promise<void> {
  proxy.freeze({ only: 'current' });
  await wait(strike, from, to);
  proxy.resume();
  if (strike.random() < 0.5) proxy.cut();
}

async function outOfReach(strike: Strike): Promise<void> {
  const { proxy } = strike.process;
  proxy.refuse();
  proxy.cut();
  await wait(strike, 300, 2_500);
  proxy.accept();
}

async function silent(strike: Strike): Promise<void> {
  strike.process.proxy.freeze();
  await wait(strike, 500, LONG[1]);
  strike.process.proxy.resume();
}

const STATEMENTS = [
  'settle_tasks',
  'start_flows',
  'claim_tasks',
  'commit\0',
  'heartbeat',
  'rescue_tasks',
  'cancel_run',
];

async function cutAtAnswer(strike: Strike): Promise<void> {
  await Promise.race([strike.process.proxy.cutBeforeReplyTo(pick(strike.random, STATEMENTS)), timeUp(3_000)]);
}

async function cutBeforeCommit(strike: Strike): Promise<void> {
  await Promise.race([strike.process.proxy.cutInsteadOf('commit\0'), timeUp(3_000)]);
}

async function readOnly({ stage, ...strike }: Strike): Promise<void> {
  const set = async (value: string) => {
    await stage.db.query(`alter system ${value}`);
    await stage.db.query('select pg_reload_conf()');
  };
  await set('set default_transaction_read_only = on');
  await wait({ stage, ...strike }, 300, 1_500);
  await set('reset default_transaction_read_only');
}

const onBackends = (what: 'pg_terminate_backend' | 'pg_cancel_backend') => async (strike: Strike) => {
  for (let times = 0; times < 3; times += 1) {
    await strike.stage.db.query(
      `select ${what}(pid) from pg_stat_activity
       where application_name like 'pgflow-live%' and (state = 'active' or ${what === 'pg_terminate_backend'})
       order by random() limit 3`,
    );
    await wait(strike, 20, 200);
  }
};

/** Somebody else's transaction holds some runs. */
async function lockRuns(strike: Strike): Promise<void> {
  const seconds = 0.1 + strike.random() * 0.9;
  await strike.stage.db.query(
    `with held as (select from pgflow.runs where status = 'started' order by run_id limit 5 for update)
     select pg_sleep($1) from (select count(*) from held) all_of_them`,
    [seconds],
  );
}

async function breakMessages(strike: Strike): Promise<void> {
  const rate = () => pick(strike.random, [0, 0.2, 0.5, 1]);
  const rates = { ...RELIABLE, lost: rate(), doubled: rate(), late: rate() };
  strike.process.tell({ do: 'bus', rates });
  await wait(strike, 1_000, 5_000);
  strike.process.tell({ do: 'bus', rates: RELIABLE });
}

/** Its messages and event streams come from a later version. */
async function upgradeOthers(strike: Strike): Promise<void> {
  strike.process.tell({ do: 'bus', rates: { ...RELIABLE, newer: pick(strike.random, [0.2, 0.5, 1]) } });
  await wait(strike, 1_000, 5_000);
  strike.process.tell({ do: 'bus', rates: RELIABLE });
}

/** What is none of ours, or lies about how far a run is. */
async function garbage(strike: Strike): Promise<void> {
  const [runId = 'none'] = strike.stage.ledger.started;
  const topic = `pgflow:run:${runId}`;
  const messages = [
    'no json',
    '{}',
    '{"messages":{}}',
    JSON.stringify({ messages: [null, 7, ['topic'], [topic, null], [topic, { kind: 'future' }]] }),
    JSON.stringify({ messages: [[topic, { v: 1, runId, seq: -5, since: 'x' }]] }),
    JSON.stringify({
      messages: [
        [topic, { runId, seq: 10_000 }],
        ['pgflow:wake', 'x'],
        ['pgflow:runs', null],
      ],
    }),
    'x'.repeat(7_000),
  ];
  for (const message of messages) await strike.stage.db.query(`select pg_notify('pgflow', $1)`, [message]);
}

export const STORM_FAULTS: readonly StormFault[] = [
  { name: 'worker killed', weight: 1, of: 'worker', strike: killAndStart },
  { name: 'worker killed in a handler', weight: 1, of: 'worker', strike: die('handler') },
  { name: 'worker killed after an effect', weight: 1, of: 'worker', strike: die('effect') },
  { name: 'worker killed before it publishes', weight: 1, of: 'worker', strike: die('publish') },
  { name: 'worker told to stop', weight: 1, of: 'worker', strike: askToStop },
  { name: 'worker frozen beyond its lease', weight: 2, of: 'worker', strike: freezeFor(...LONG) },
  { name: 'web killed', weight: 0.5, of: 'web', strike: killAndStart },
  { name: 'web frozen', weight: 1, of: 'web', strike: freezeFor(300, 3_000) },
  {
    name: 'connections cut',
    weight: 4,
    of: 'process',
    strike: async ({ process }) => process.proxy.cut(),
  },
  {
    name: 'connections half-open',
    weight: 4,
    of: 'process',
    strike: (strike) => halfOpen(strike.process.proxy, strike, 300, LONG[1]),
  },
  { name: 'database out of reach', weight: 2, of: 'process', strike: outOfReach },
  { name: 'database silent', weight: 3, of: 'process', strike: silent },
  { name: 'connection lost at an answer', weight: 5, of: 'process', strike: cutAtAnswer },
  { name: 'connection lost before COMMIT', weight: 2, of: 'worker', strike: cutBeforeCommit },
  { name: 'messages lost, doubled, late', weight: 6, of: 'process', strike: breakMessages },
  { name: 'messages of a later version', weight: 3, of: 'process', strike: upgradeOthers },
  {
    name: 'runs pruned',
    weight: 4,
    of: 'web',
    strike: async ({ process }) => process.tell({ do: 'prune' }),
  },
  { name: 'pool held by handlers', weight: 1, of: 'server', and: 'worker', strike: exhaustPool },
  {
    name: 'connections of the server taken',
    weight: 1,
    of: 'server',
    and: 'process',
    strike: takeConnections,
  },
  { name: 'garbage published', weight: 1, of: 'nobody', strike: garbage },
  {
    name: 'server restarted (fast)',
    weight: 0.5,
    of: 'server',
    strike: ({ stage }) => stage.server.restart('fast'),
  },
  {
    name: 'server restarted (immediate)',
    weight: 0.5,
    of: 'server',
    strike: ({ stage }) => stage.server.restart('immediate'),
  },
  { name: 'server read-only', weight: 0.5, of: 'server', strike: readOnly },
  { name: 'sessions terminated', weight: 1, of: 'server', strike: onBackends('pg_terminate_backend') },
  { name: 'statements cancelled', weight: 1, of: 'server', strike: onBackends('pg_cancel_backend') },
  { name: 'runs locked by others', weight: 1, of: 'server', strike: lockRuns },
  {
    name: 'Redis killed',
    weight: 1,
    of: 'redis',
    strike: async (strike) => {
      await strike.stage.redis!.server.kill();
      await wait(strike, 100, 3_000);
      await strike.stage.redis!.server.start();
    },
  },
  {
    name: 'Redis cut off',
    weight: 2,
    of: 'redis',
    strike: async ({ stage }) => stage.redis!.proxy.cut(),
  },
  {
    name: 'Redis half-open',
    weight: 2,
    of: 'redis',
    strike: (strike) => halfOpen(strike.stage.redis!.proxy, strike, 300, 5_000),
  },
  {
    name: 'readers cut',
    weight: 2,
    of: 'readers',
    strike: async ({ stage, random }) => pick(random, stage.readers).cut(),
  },
  {
    name: 'readers half-open',
    weight: 1,
    of: 'readers',
    strike: (strike) => halfOpen(pick(strike.random, strike.stage.readers), strike, 300, 2_000),
  },
];
