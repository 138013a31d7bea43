import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createBatch } from './batch.js';

/** After it, what was asked for before is under way. */
const turnOfTheLoop = () => new Promise((resolve) => setImmediate(resolve));

/** A batch whose statements end when the test says so. An item is its group and a number: `a1`. */
function createStatements({ most = 10, enough = 1 } = {}) {
  const underWay: { items: readonly string[]; end(): void }[] = [];
  const add = createBatch<string, string>({
    enough,
    most,
    run: (items) => new Promise((resolve) => underWay.push({ items, end: () => resolve(items) })),
    keyOf: (item) => item,
    groupOf: (item) => item[0],
  });
  return {
    add: (...items: string[]) => Promise.all(items.map(add)),
    /** What the next statement has; it ends when it is told to. */
    async next() {
      await turnOfTheLoop();
      return underWay.shift()!;
    },
    underWay,
  };
}

describe('batch', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('takes what is asked for in the same turn together, in its order, and answers each', async () => {
    const { add, next } = createStatements();
    const answers = add('a1', 'b1', 'a2');
    const statement = await next();
    statement.end();

    expect(statement.items).toEqual(['a1', 'b1', 'a2']);
    expect(await answers).toEqual(['a1', 'b1', 'a2']);
  });

  it('lets items of a group under way wait for it while there are others', async () => {
    const { add, next, underWay } = createStatements();
    const first = add('a1');
    const one = await next();
    const others = add('a2', 'b1', 'a3');
    const two = await next();
    const more = add('b2', 'a4');
    one.end();
    await first;
    const three = await next();

    expect([two.items, three.items, underWay]).toEqual([['b1'], ['a2', 'a3', 'a4'], []]);
    two.end();
    three.end();
    const four = await next();
    expect(four.items).toEqual(['b2']);
    four.end();
    await Promise.all([others, more]);
  });

  it('lets them go all the same when there are no others', async () => {
    const { add, next } = createStatements();
    const first = add('a1');
    const one = await next();
    const second = add('a2');
    const two = await next();

    expect(two.items).toEqual(['a2']);
    one.end();
    two.end();
    await Promise.all([first, second]);
  });

  it('starts a second statement beside the first for many items only', async () => {
    const { add, next, underWay } = createStatements({ enough: 3 });
    const first = add('a1');
    const one = await next();
    const others = add('b1', 'c1', 'd1');
    const two = await next();
    const few = add('e1', 'f1');
    one.end();
    await first;
    await turnOfTheLoop();

    expect([two.items, underWay]).toEqual([['b1', 'c1', 'd1'], []]);
    two.end();
    const three = await next();
    expect(three.items).toEqual(['e1', 'f1']);
    three.end();
    await Promise.all([others, few]);
  });

  it('starts one for few when the first takes long, as one does that waits for a lock', async () => {
    const { add, next } = createStatements({ enough: 3 });
    const first = add('a1');
    const one = await next();
    const second = add('b1');
    vi.advanceTimersByTime(50);
    const two = await next();

    expect(two.items).toEqual(['b1']);
    one.end();
    two.end();
    await Promise.all([first, second]);
  });

  it('never takes the same item twice in one statement, nor more than it may', async () => {
    const { add, next } = createStatements({ most: 2 });
    const all = add('a1', 'a1', 'b1', 'c1');
    const one = await next();
    const two = await next();
    one.end();
    two.end();
    const three = await next();
    three.end();

    expect([one.items, two.items, three.items]).toEqual([['a1', 'b1'], ['c1'], ['a1']]);
    await all;
  });

  it('tries the halves of a statement that fails, so that the one to blame fails alone', async () => {
    const add = createBatch<number, number>({
      run: async (items) => {
        if (items.includes(3)) throw new Error('three');
        return items;
      },
    });

    const settled = await Promise.allSettled([1, 2, 3, 4].map(add));

    expect(settled.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'fulfilled']);
  });
});
