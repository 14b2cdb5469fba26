import type { Roster } from '../../src/fleet/roster.js';
import { FleetObjects } from '../../src/objects/fleet-objects.js';
import { RosterRing } from '../../src/objects/object-ring.js';
import type { Objects } from '../../src/objects/objects.js';
import { ObjectLinks, type ObjectLinksOptions } from '../../src/peer/objects/object-links.js';

/** The objects of the fleet, as seen by a coordinator, which stores none itself. */
export class CoordinatorObjects {
  readonly objects: Objects;
  private readonly links: ObjectLinks;

  constructor(roster: Roster, replicas: number, dialling: Omit<ObjectLinksOptions, 'workerOf'>) {
    const { clock, random } = dialling;
    const links = new ObjectLinks({ ...dialling, workerOf: (worker) => roster.alive(worker) });
    this.links = links;
    const ring = new RosterRing(roster, replicas);
    this.objects = new FleetObjects({ ring, clock, random, nodeOf: (worker) => links.peer(worker), own: null });
    roster.listen((effect) => {
      if (effect.type !== 'dead' && effect.type !== 'left') return;
      if (roster.alive(effect.id)?.incarnation !== effect.incarnation) links.forget(effect.id);
    });
  }

  close(): void {
    this.links.close();
  }
}
