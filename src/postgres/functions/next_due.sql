-- Seconds until the next task of these handlers is due; null when none is queued.
create function pgflow.next_due(handler_ids int[]) returns float8
language plpgsql volatile
set search_path = '' set enable_seqscan = off set enable_bitmapscan = off set jit = off
set plan_cache_mode = force_generic_plan
as $$
begin
  return (
    select greatest(extract(epoch from q.available_at - pgflow.now()), 0)::float8
    from unnest(handler_ids) h(handler_id)
    cross join lateral (
      select t.available_at from pgflow.run_steps t
      where t.handler_id = h.handler_id and t.available_at is not null
      order by t.available_at limit 1
    ) q
    order by q.available_at limit 1   -- no row, so null, when none is queued: `greatest` would make 0 of it
  );
end $$;
