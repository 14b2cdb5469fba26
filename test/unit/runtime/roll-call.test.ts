import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Unavailable } from '../../../src/errors.js';
import { Counter } from './code.js';
import { RuntimeWorld } from './world.js';

let world: RuntimeWorld;

beforeEach(async () => {
  world = await RuntimeWorld.make();
});

afterEach(() => world.close());

const NODES = ['a', 'b', 'c', 'd'];

describe('a new driver', () => {
  it('has heard all nodes after a roll call', async () => {
    for (const id of NODES) await world.node(id);
    const { fleet, member } = await world.newcomer('driver');
    expect(await member.rollCall.unheard()).toEqual([]);
    expect(
      fleet
        .nodes()
        .filter(({ kind }) => kind === 'node')
        .map(({ id }) => id)
        .sort(),
    ).toEqual(NODES);
  });

  it('lists what runs on all nodes, even before it has heard them', async () => {
    for (const id of NODES) await world.node(id);
    const owner = await world.driver('owner');
    for (const node of NODES) await owner.fleet.actor(Counter, { near: { node } });
    const { fleet } = await world.newcomer('driver');
    expect((await fleet.listActors()).map(({ node }) => node).sort()).toEqual(NODES);
  });

  it('says which nodes it does not hear, though others do', async () => {
    for (const id of NODES) await world.node(id);
    world.separate('driver', 'c');
    const { fleet, member } = await world.newcomer('driver');
    expect(await member.rollCall.unheard()).toEqual(['c']);
    await expect(fleet.listActors()).rejects.toThrow(new Unavailable('cannot list all: no answer of c'));
    const lines = fleet.logs('till');
    await expect(lines.next()).rejects.toThrow(new Unavailable('cannot read all lines: no answer of c'));
  });

  it('does not wait where there are no nodes', async () => {
    const { fleet } = await world.newcomer('driver');
    expect(await fleet.listActors()).toEqual([]);
  });
});
