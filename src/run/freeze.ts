/**
 * Freezes a JSON value through and through, in place, and returns it. What is frozen already is
 * taken as done, so a second call costs nothing. Any depth: it does not recurse.
 */
export function freezeDeep<T>(value: T): T {
  if (!isOpen(value)) return value;
  const open: object[] = [Object.freeze(value)];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    for (const child of Object.values(next)) {
      if (isOpen(child)) open.push(Object.freeze(child));
    }
  }
  return value;
}

function isOpen(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Object.isFrozen(value);
}
