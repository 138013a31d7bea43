-- Makes the shape of a flow known: the same shape again changes nothing but the options (attempts,
-- delays, timeouts); another shape is a new version. Who registers the same flow waits here for the other.
--
-- steps: [{ slug, kind, dependsOn: [index], over: index | null, signature, maxAttempts, baseDelay, timeout, startDelay,
--   if, ifNot, whenUnmet, whenExhausted }].
-- Raises PF004 when the slug is taken by a job and this is a flow, or the other way round.
create function pgflow.register_flow(flow text, flow_kind text, flow_shape text, steps jsonb)
returns table (version int, step_index int, handler_id int)
language plpgsql volatile set search_path = ''
as $$
#variable_conflict use_column
declare
  _now timestamptz := pgflow.now();
  _version int;
begin
  insert into pgflow.flows (flow_slug, kind, current_version, created_at)
  values (flow, flow_kind, 0, _now) on conflict do nothing;
  perform 1 from pgflow.flows f where f.flow_slug = flow for update;
  if exists (select from pgflow.flows f where f.flow_slug = flow and f.kind <> flow_kind) then
    raise exception using errcode = 'PF004', message = flow;
  end if;

  insert into pgflow.handlers as h (flow_slug, step_slug, signature, max_attempts, base_delay, timeout, start_delay)
  select flow, s.slug, s.signature, s."maxAttempts", s."baseDelay", s.timeout, s."startDelay"
  from pg_catalog.jsonb_to_recordset(steps)
    s(slug text, signature text, "maxAttempts" int, "baseDelay" float8, timeout float8, "startDelay" float8)
  on conflict (flow_slug, step_slug, signature) do update set max_attempts = excluded.max_attempts,
    base_delay = excluded.base_delay, timeout = excluded.timeout, start_delay = excluded.start_delay
  where (h.max_attempts, h.base_delay, h.timeout, h.start_delay)
    is distinct from (excluded.max_attempts, excluded.base_delay, excluded.timeout, excluded.start_delay);

  select v.version into _version from pgflow.flow_versions v where v.flow_slug = flow and v.shape = flow_shape;
  if not found then
    select coalesce(max(v.version), 0) + 1 into _version from pgflow.flow_versions v where v.flow_slug = flow;
    insert into pgflow.flow_versions (flow_slug, version, shape, step_count, root_map, conditional_root, created_at)
    select flow, _version, flow_shape, pg_catalog.jsonb_array_length(steps),
      (select min(s.slug) from pg_catalog.jsonb_to_recordset(steps) s(slug text, kind text, over int)
       where s.kind = 'map' and s.over is null),
      exists (select from pg_catalog.jsonb_array_elements(steps) e
       where e->'dependsOn' = '[]' and e->'over' = 'null'
         and (e->'if' is not null or e->'ifNot' is not null)), _now;

    with given as (
      select (e.ordinality - 1)::int as step_index, e.value as definition, s.*,
        array(select pg_catalog.jsonb_array_elements_text(s."dependsOn")::int) as depends_on
      from pg_catalog.jsonb_array_elements(steps) with ordinality e
      cross join lateral pg_catalog.jsonb_to_record(e.value)
        s(slug text, kind text, "dependsOn" jsonb, over int, signature text, "whenUnmet" text, "whenExhausted" text)
    ), waits as (
      select distinct g.step_index as child, p as parent from given g cross join lateral unnest(g.depends_on || g.over) p
      where p is not null
    ), awaited as (
      select w.parent, array_agg(w.child order by w.child) as children from waits w group by w.parent
    ), fed as (
      select g.over, min(g.slug) as map from given g where g.over is not null group by g.over
    )
    insert into pgflow.steps (flow_slug, version, step_index, step_slug, kind, depends_on, over, dependents, dep_count, fed_map,
      handler_id, if_pattern, if_not_pattern, when_unmet, when_exhausted)
    select flow, _version, g.step_index, g.slug, g.kind, g.depends_on, g.over,
      coalesce(a.children, '{}'),
      (select count(distinct d) from unnest(g.depends_on || g.over) d),
      f.map,
      (select h.handler_id from pgflow.handlers h
       where h.flow_slug = flow and h.step_slug = g.slug and h.signature = g.signature),
      g.definition->'if', g.definition->'ifNot', g."whenUnmet", g."whenExhausted"
    from given g left join awaited a on a.parent = g.step_index left join fed f on f.over = g.step_index;
  end if;
  update pgflow.flows f set current_version = _version where f.flow_slug = flow and f.current_version <> _version;

  return query select _version, s.step_index, s.handler_id from pgflow.steps s
  where s.flow_slug = flow and s.version = _version order by s.step_index;
end $$;
