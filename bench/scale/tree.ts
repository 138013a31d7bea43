import type { Session } from './session.js';

/** The B-tree of an index. */
export interface Tree {
  /** Pages from the root to the key: 1 is a root that is a leaf. */
  readonly height: number;
  readonly bytes: number;
}

/** Reads it from the index' first page; needs PostgreSQL's extension `pageinspect`. */
export async function readTree(session: Session, index: string): Promise<Tree> {
  await session.query('create extension if not exists pageinspect');
  const [tree] = await session.query<{ height: number; bytes: number }>(
    `select (level + 1)::int as height, pg_relation_size($1::regclass)::float8 as bytes from bt_metap($1)`,
    [index],
  );
  return tree!;
}
