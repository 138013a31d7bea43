import { describe, expect, it } from 'vitest';
import { hasMember, listMembers, type Members, withMember, withoutMember } from './members.js';

const [a, b, c] = [{ name: 'a' }, { name: 'b' }, { name: 'c' }];

function membersOf(...joining: object[]): Members<object> {
  return joining.reduce<Members<object>>(withMember, null);
}

describe('members', () => {
  it.each([[[]], [[a]], [[a, b]], [[a, b, c]]])('are those who joined, in order', (joined) => {
    const members = membersOf(...joined);
    expect(listMembers(members)).toEqual(joined);
    for (const one of [a, b, c]) expect(hasMember(members, one)).toBe(joined.includes(one));
  });

  it('are there once, however often they join', () => {
    expect(listMembers(membersOf(a, a))).toEqual([a]);
    expect(listMembers(membersOf(a, b, a))).toEqual([a, b]);
  });

  it('may leave in any order, and who was not there changes nothing', () => {
    for (const leaving of [
      [a, b],
      [b, a],
    ]) {
      const one = withoutMember(membersOf(a, b), leaving[0]!);
      expect(listMembers(one)).toEqual([leaving[1]]);
      expect(listMembers(withoutMember(one, c))).toEqual([leaving[1]]);
      expect(withoutMember(one, leaving[1]!)).toBeNull();
    }
    expect(withoutMember(a, b)).toBe(a);
    expect(withoutMember(null, a)).toBeNull();
  });

  it('stay as listed, whoever comes or goes meanwhile', () => {
    const members = membersOf(a, b);
    const listed = listMembers(members);
    withMember(withoutMember(members, a), c);
    expect(listed).toEqual([a, b]);
  });
});
