-- Which runs match, newest first, and how far each has come: a page for each filter, counted from 1. Null matches all.
-- befores, before_ids: only what is older than a run that started then, with that id; null: from the newest on.
create function pgflow.list_runs(
  flows text[], statuses text[], tags text[], limits int[], befores timestamptz[] default null,
  before_ids uuid[] default null
) returns table (page int, run_id uuid, seq int, started_at timestamptz)
language plpgsql stable
set search_path = '' set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_bitmapscan = off set enable_sort = off set jit = off set plan_cache_mode = force_generic_plan
as $$
begin
  return query
  select f.page::int, p.run_id, p.seq, p.started_at
  from (
    select u.flow, u.status, u.tag, u.most, coalesce(u.before, 'infinity') as before,
      coalesce(u.before_id, 'ffffffff-ffff-ffff-ffff-ffffffffffff') as before_id, u.page
    from unnest(flows, statuses, tags, limits, befores, before_ids)
      with ordinality u(flow, status, tag, most, before, before_id, page)
    offset 0
  ) f
  cross join lateral (
    (
      select r.run_id, r.seq, r.started_at from pgflow.runs r
      where f.tag is null and (r.started_at, pg_catalog.uuid_send(r.run_id)) < (f.before, pg_catalog.uuid_send(f.before_id))
        and (f.flow is null or r.flow_slug = f.flow) and (f.status is null or r.status = f.status)
      order by r.started_at desc, pg_catalog.uuid_send(r.run_id) desc limit f.most
    )
    union all
    (
      select t.run_id, r.seq, t.started_at from pgflow.run_tags t
      cross join lateral (
        select r.seq, r.flow_slug, r.status from pgflow.runs r where r.run_id = t.run_id offset 0
      ) r
      where t.tag = f.tag and (t.started_at, t.run_id) < (f.before, f.before_id)
        and (f.flow is null or r.flow_slug = f.flow) and (f.status is null or r.status = f.status)
      order by t.started_at desc, t.run_id desc limit f.most
    )
  ) p;
end $$;
