import { describe, expect, it, onTestFinished } from 'vitest';
import { PgFlowError } from '../errors.js';
import type { ClaimedTask, Outcome } from '../postgres/change-rows.js';
import type { Capacity, TaskKey } from '../postgres/task-store.js';
import { Telemetry } from '../telemetry/telemetry.js';
import { Claimer, type ClaimerPorts } from './claimer.js';
import type { Lease } from './lease.js';
import { SharedInputs } from './shared-inputs.js';

const WORKER = 7;
const task = (taskIndex: number) => ({ runId: 'r', stepIndex: 0, taskIndex, claim: 1 }) as ClaimedTask;
const outcome = (...claims: ClaimedTask[]) => ({ claims }) as unknown as Outcome;

/** A queue in memory; `asked` settles each time that the claimer has asked for tasks and gone to sleep. */
function createQueue({ concurrency = 2 } = {}) {
  const due: ClaimedTask[] = [];
  const begun: ClaimedTask[] = [];
  const returned: TaskKey[] = [];
  const unheld: (readonly TaskKey[])[] = [];
  let slept: () => void = () => {};
  const ports: ClaimerPorts = {
    store: {
      claimTasks: async (_worker, _handlers, batch) => due.splice(0, batch),
      nextDue: async () => {
        // Timer: not the claimer's; it is asleep when the promise that this resolves has been handed on.
        setImmediate(() => slept());
        return null;
      },
      returnTasks: async (tasks) => void returned.push(...tasks),
      returnUnheld: async (_worker, held) => unheld.push([...held]),
    },
    lease: { workerId: WORKER, heed() {} } as unknown as Lease,
    handlerIds: [1],
    pollInterval: 3600,
    free: () => concurrency - begun.length,
    begin: (tasks) => void begun.push(...tasks),
    inputs: new SharedInputs(),
    held: () => begun,
    telemetry: new Telemetry('pgflow'),
    onError() {},
  };
  const claimer = new Claimer(ports);
  onTestFinished(() => claimer.end());
  return {
    claimer,
    due,
    begun,
    returned,
    unheld,
    fallAsleep: () =>
      new Promise<void>((resolve) => {
        slept = resolve;
        claimer.wake();
      }),
  };
}

describe('claiming with a statement', () => {
  it('offers the free slots while the queue has nothing due', async () => {
    const { claimer, begun, fallAsleep } = createQueue();
    await fallAsleep();
    let offered: Capacity | undefined;

    await claimer.claimWith(5, 'new', async (capacity) => {
      offered = capacity;
      return outcome(task(0));
    });

    expect(offered).toEqual({ workerId: WORKER, handlerIds: [1], slots: 2 });
    expect(begun).toEqual([task(0)]);
  });

  it('offers what is not promised to another statement', async () => {
    const { claimer, fallAsleep } = createQueue({ concurrency: 3 });
    await fallAsleep();
    const offered: (number | undefined)[] = [];
    const statement = async (capacity?: Capacity) => {
      offered.push(capacity?.slots);
      return outcome();
    };

    await Promise.all([
      claimer.claimWith(2, 'new', statement),
      claimer.claimWith(2, 'new', statement),
      claimer.claimWith(2, 'new', statement),
    ]);

    expect(offered).toEqual([2, 1, undefined]);
  });

  it('leaves to the queue what waits in it: all slots of what is new, one of what follows', async () => {
    const { claimer, due, begun } = createQueue({ concurrency: 3 });
    due.push(...Array.from({ length: 6 }, (_, i) => task(i)));
    const offered: (number | undefined)[] = [];
    const statement = async (capacity?: Capacity) => {
      offered.push(capacity?.slots);
      return outcome();
    };
    claimer.wake();
    await expect.poll(() => begun.length).toBe(3);

    begun.splice(0, 3);
    await claimer.claimWith(3, 'new', statement);
    await claimer.claimWith(3, 'follows', statement);

    expect(offered).toEqual([undefined, 2]);
  });

  it('leaves the only slot to the queue', async () => {
    const { claimer, due, begun } = createQueue({ concurrency: 1 });
    due.push(task(0), task(1));
    claimer.wake();
    await expect.poll(() => begun.length).toBe(1);

    begun.splice(0, 1);
    await claimer.claimWith(1, 'follows', async (capacity) => {
      expect(capacity).toBeUndefined();
      return outcome();
    });
    expect.assertions(2);
  });

  it('lets those who started many go on before the tasks begin, and keeps their slots until then', async () => {
    const { claimer, begun, fallAsleep } = createQueue({ concurrency: 8 });
    await fallAsleep();
    const many = Array.from({ length: 6 }, (_, i) => task(i));
    const offered: (number | undefined)[] = [];
    const start = async (capacity?: Capacity) => {
      offered.push(capacity?.slots);
      return offered.length === 1 ? outcome(...many) : outcome();
    };

    await claimer.claimWith(6, 'new', start);
    expect(begun).toEqual([]);
    await claimer.claimWith(6, 'new', start);
    expect(offered).toEqual([6, 2]);

    await expect.poll(() => begun).toEqual(many);
  });

  it('begins few before those who started them go on', async () => {
    const { claimer, begun, fallAsleep } = createQueue();
    await fallAsleep();
    await claimer.claimWith(1, 'new', async () => outcome(task(0)));
    expect(begun).toEqual([task(0)]);
  });

  it('gives back many that were to begin a turn later, when it ends meanwhile', async () => {
    const { claimer, begun, returned, fallAsleep } = createQueue({ concurrency: 8 });
    await fallAsleep();
    const many = Array.from({ length: 6 }, (_, i) => task(i));
    await claimer.claimWith(6, 'new', async () => outcome(...many));
    await claimer.end();

    expect(begun).toEqual([]);
    expect(returned).toEqual(many);
  });

  it('gives back what arrives after the end', async () => {
    const { claimer, begun, returned, fallAsleep } = createQueue();
    await fallAsleep();
    let answer: (value: Outcome) => void = () => {};
    const call = claimer.claimWith(1, 'new', () => new Promise((resolve) => (answer = resolve)));
    const ended = claimer.end();
    answer(outcome(task(0)));
    await Promise.all([call, ended]);

    expect(begun).toEqual([]);
    expect(returned).toEqual([task(0)]);
  });
});

describe('an answer that is lost', () => {
  const lost = new PgFlowError('DATABASE_UNAVAILABLE', 'gone');

  it('leads to giving back all that is not held, once nothing is under way', async () => {
    const { claimer, unheld, fallAsleep } = createQueue({ concurrency: 4 });
    await fallAsleep();
    await claimer.claimWith(1, 'new', async () => outcome(task(0)));
    let answer: (value: Outcome) => void = () => {};
    const slow = claimer.claimWith(1, 'new', () => new Promise((resolve) => (answer = resolve)));
    await expect(claimer.claimWith(1, 'new', () => Promise.reject(lost))).rejects.toBe(lost);

    claimer.returnUnheard();
    await claimer.claimWith(1, 'new', async (capacity) => {
      expect(capacity).toBeUndefined(); // nothing new may be claimed meanwhile
      return outcome();
    });
    expect(unheld).toEqual([]);
    answer(outcome(task(1)));
    await slow;

    await expect.poll(() => unheld).toEqual([[task(0), task(1)]]);
  });

  it('is not suspected when the database has said no', async () => {
    const { claimer, unheld, fallAsleep } = createQueue();
    await fallAsleep();
    await claimer.claimWith(1, 'new', () => Promise.reject(new Error('no'))).catch(() => {});
    claimer.returnUnheard();
    await claimer.end();
    expect(unheld).toEqual([]);
  });
});
