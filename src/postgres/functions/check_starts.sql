-- Says why runs of a start were not inserted: raises PF001, PF002 or PF003 as start_flows does, or
-- returns those that were there already, as asked for.
create function pgflow.check_starts(
  run_ids uuid[], flow_slugs text[], inputs jsonb[], given_inputs jsonb[], new_runs uuid[]
) returns uuid[]
language plpgsql volatile set search_path = ''
as $$
declare
  _left record;
  _existing uuid[];
begin
  for _left in
    select b.run_id, b.flow_slug, v.root_map,
      case when f.flow_slug is null then 'PF001'
        when v.root_map is not null and pg_catalog.jsonb_typeof(b.input) <> 'array' then 'PF003'
        when r.flow_slug = b.flow_slug and coalesce(r.given_input, r.input) = coalesce(b.given_input, b.input) then null
        else 'PF002' end as trouble
    from unnest(run_ids, flow_slugs, inputs, given_inputs) b(run_id, flow_slug, input, given_input)
    left join pgflow.flows f on f.flow_slug = b.flow_slug
    left join pgflow.flow_versions v on v.flow_slug = f.flow_slug and v.version = f.current_version
    left join pgflow.runs r on r.run_id = b.run_id
    where b.run_id <> all (new_runs)
  loop
    if _left.trouble is not null then
      raise exception using errcode = _left.trouble, message = pg_catalog.jsonb_build_object(
        'runId', _left.run_id, 'flowSlug', _left.flow_slug, 'map', _left.root_map);
    end if;
    _existing := _existing || _left.run_id;
  end loop;
  return _existing;
end $$;
