/** The keys of access control: RocketMQ's own (AuthConfig). */
import { flag, text } from '../../common/config.ts'
import type { ConfigKey } from '../../common/config.ts'

export const AUTH_KEYS: {
  readonly authenticationEnabled: ConfigKey<boolean>
  readonly authorizationEnabled: ConfigKey<boolean>
  readonly initAuthenticationUser: ConfigKey<string>
  readonly innerClientAuthenticationCredentials: ConfigKey<string>
  readonly authenticationWhitelist: ConfigKey<string>
  readonly authorizationWhitelist: ConfigKey<string>
} = {
  authenticationEnabled: flag(false, {
    description: 'Requests are taken from users only, who sign them with their secret.',
  }),
  authorizationEnabled: flag(false, {
    description:
      'Users may do what their policies allow, super users everything. Signatures are checked then too.',
  }),
  initAuthenticationUser: text('', {
    description:
      'A super user that is made when there is none of the name: `{"username":"…","password":"…"}`.',
    secret: true,
  }),
  innerClientAuthenticationCredentials: text('', {
    description:
      'Another super user, which the parts of the cluster sign with: `{"accessKey":"…","secretKey":"…"}`.',
    secret: true,
  }),
  authenticationWhitelist: text('', {
    description: 'Request codes that need no user, as 105,34.',
    live: true,
  }),
  authorizationWhitelist: text('', {
    description: 'Request codes that every user may send, as 28,33.',
    live: true,
  }),
}
