import { describe, expect, it } from 'vitest';
import { issuesOfTags, whyNoTag } from './tags.js';

describe('a tag', () => {
  it.each(['a', 'order:123', ' ', '"\\{},', '😀', 'x'.repeat(128), '🙂'.repeat(128)])('may be %j', (tag) => {
    expect(whyNoTag(tag)).toBeNull();
  });

  it.each(['', 'x'.repeat(129), '🙂'.repeat(129), 'a\0b', '\ud83d', 1, null, undefined, ['a'], {}])(
    'may not be %j',
    (tag) => {
      expect(whyNoTag(tag)).toMatch(/^(must be a text of 1 to 128|contains)/);
    },
  );
});

describe('the tags of a run', () => {
  it('may be none, or twenty different ones', () => {
    const twenty = Array.from({ length: 20 }, (_, n) => `tag ${n}`);
    expect(issuesOfTags([])).toEqual([]);
    expect(issuesOfTags([...twenty, ...twenty])).toEqual([]);
    expect(issuesOfTags([...twenty, 'one more'])).toEqual([
      { path: 'tags', message: 'must be 20 at most, not 21' },
    ]);
  });

  it('are refused one by one, each with its path', () => {
    expect(issuesOfTags(['fine', '', 7])).toMatchObject([{ path: 'tags.1' }, { path: 'tags.2' }]);
    expect(issuesOfTags(new Array(1))).toMatchObject([{ path: 'tags.0' }]);
  });

  it.each(['order:123', null, { 0: 'a' }])('are an array, so not %j', (tags) => {
    expect(issuesOfTags(tags)).toEqual([{ path: 'tags', message: 'must be an array of texts' }]);
  });
});
