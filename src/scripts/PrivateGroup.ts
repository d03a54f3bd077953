import * as Passwd from "./Passwd.ts"

/** A process's user and group, by number. */
export interface Account {
  readonly uid: number
  readonly gid: number
}

/**
 * True if only this user is in the group: /etc/group names no other member, and /etc/passwd names no other user with
 * this primary group. A group that is in neither file may come from a directory service, and its members are not known.
 * Such a group is private only if it has the same number as the user.
 */
export const isPrivate = (account: Account, files: { readonly passwd: string; readonly group: string }): boolean => {
  const users = Passwd.rows(files.passwd)
  const groups = Passwd.rows(files.group).filter(([, , gid]) => Number(gid) === account.gid)
  const names = users.filter(([, , uid]) => Number(uid) === account.uid).map(([name]) => name)
  const members = groups.flatMap(([, , , list = ""]) => list.split(",")).filter((name) => name.trim() !== "")
  return (
    members.every((name) => names.includes(name.trim())) &&
    users.every(([, , uid, gid]) => Number(gid) !== account.gid || Number(uid) === account.uid) &&
    (groups.length > 0 || account.gid === account.uid)
  )
}
