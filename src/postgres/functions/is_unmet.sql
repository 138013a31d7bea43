-- Whether a step's condition fails on a value: it does not contain `if_pattern`, or contains `if_not_pattern`.
create function pgflow.is_unmet(if_pattern jsonb, if_not_pattern jsonb, value jsonb) returns boolean
language sql immutable   -- no `set`, so that it is inlined; its callers have set search_path
as $$
  select (if_pattern is not null and not value @> if_pattern)
    or (if_not_pattern is not null and value @> if_not_pattern)
$$;
