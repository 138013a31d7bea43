import { describe, expect, it } from 'vitest';
import { createBatch } from './batch.js';

/** A batch of two lanes whose statements end when the test says so. An item is its group and a number: `a1`. */
function createStatements(most = 10) {
  const underWay: { items: readonly string[]; end(): void }[] = [];
  const add = createBatch<string, string>({
    lanes: 2,
    most,
    run: (items) => new Promise((resolve) => underWay.push({ items, end: () => resolve(items) })),
    keyOf: (item) => item,
    groupOf: (item) => item[0],
  });
  return {
    add: (...items: string[]) => Promise.all(items.map(add)),
    /** What the next statement has; it ends when it is told to. */
    async next() {
      await expect.poll(() => underWay.length).toBeGreaterThan(0);
      return underWay.shift()!;
    },
    underWay,
  };
}

describe('batch', () => {
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

  it('never takes the same item twice in one statement, nor more than it may', async () => {
    const { add, next } = createStatements(2);
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
      lanes: 1,
      most: 10,
      run: async (items) => {
        if (items.includes(3)) throw new Error('three');
        return items;
      },
    });

    const settled = await Promise.allSettled([1, 2, 3, 4].map(add));

    expect(settled.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'fulfilled']);
  });
});
