/**
 * A set that mostly has one member or none, and is kept by each of very many: then it is that member itself, or null.
 * An empty `Set` is 152 bytes (V8); a run has one for its watchers, and each handle one for its listeners.
 */
export type Members<T extends object> = T | ReadonlySet<T> | null;

export function withMember<T extends object>(members: Members<T>, member: T): Members<T> {
  if (members === null) return member;
  // Grown in place: thousands join one by one.
  if (members instanceof Set) return members.add(member);
  return new Set([members as T, member]);
}

export function withoutMember<T extends object>(members: Members<T>, member: T): Members<T> {
  if (!(members instanceof Set)) return members === member ? null : members;
  members.delete(member);
  return members.size === 0 ? null : members;
}

export function hasMember<T extends object>(members: Members<T>, member: T): boolean {
  return members instanceof Set ? members.has(member) : members === member;
}

const NOBODY: readonly never[] = [];

/** Those there now, in the order in which they came. Who comes or goes later does not change it. */
export function listMembers<T extends object>(members: Members<T>): readonly T[] {
  if (members === null) return NOBODY;
  return members instanceof Set ? [...members] : [members as T];
}
