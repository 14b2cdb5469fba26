import { randomBytes } from 'node:crypto';
import { readValues } from '../../src/config/config.js';
import { NATS_ROLES, type NatsRights, type NatsRole, type NatsUser, natsRights } from '../../src/fleet/nats-rights.js';
import type { CommandContext } from '../context.js';

/** The users of a fleet's nats-server: one for each role, with no more rights than the role needs. */

const PASSWORD_BYTES = 24;

/** A user with a random password. Without rights it may do everything. */
export function natsUser(user: string, rights: NatsRights | null): NatsUser {
  return { user, password: randomBytes(PASSWORD_BYTES).toString('hex'), rights };
}

/** A user for each role of a fleet whose nats-server stands alone. */
export function fleetUsers(namespace: string): Readonly<Record<NatsRole, NatsUser>> {
  const of = (role: NatsRole) => natsUser(role, natsRights(namespace, role, 'one'));
  return { coordinator: of('coordinator'), worker: of('worker'), node: of('node') };
}

/** `shoal nats-users`: prints the users of a fleet as a part of nats-server's configuration. */
export async function natsUsers(context: CommandContext): Promise<number> {
  const { namespace } = readValues('nats-users', context);
  context.io.out(usersConfig(namespace));
  return 0;
}

/** The part of nats-server's configuration that names the users. The passwords are variables, which the same file sets: an included file would not see them. */
function usersConfig(namespace: string): string {
  const users = NATS_ROLES.map((role) => {
    const { publish, subscribe } = natsRights(namespace, role, 'cluster');
    return `    {
      user: ${role}
      password: $SHOAL_NATS_${role.toUpperCase()}_PASSWORD
      permissions {
        publish { allow: ${list(publish)} }
        subscribe { allow: ${list(subscribe)} }
      }
    }`;
  });
  return `authorization {\n  users: [\n${users.join('\n')}\n  ]\n}\n`;
}

function list(subjects: readonly string[]): string {
  return `[\n${subjects.map((subject) => `          ${JSON.stringify(subject)}`).join('\n')}\n        ]`;
}
