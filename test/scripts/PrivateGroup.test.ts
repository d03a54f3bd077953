import { assert, describe, it } from "@effect/vitest"
import * as PrivateGroup from "../../src/scripts/PrivateGroup.ts"

const des = { uid: 1000, gid: 1000 }
const passwd = "root:x:0:0::/root:/bin/sh\ndes:x:1000:1000::/:/bin/sh\n"
const group = "root:x:0:\ndes:x:1000:\n"

describe("a primary group is private", () => {
  it.each([
    ["with no member and no other user", passwd, group],
    ["with the user as its only member", passwd, "des:x:1000:des\n"],
    ["where the user has a second name", `${passwd}des2:x:1000:1000::/:/bin/sh\n`, "des:x:1000:des,des2\n"],
    ["where neither file has it, and it has the user's number", "", ""],
    ["beside comments, empty lines and other groups", `# a\n\n${passwd}`, `${group}other:x:7:root,des,x\n`]
  ])("%s", (_name, passwd, group) => {
    assert.isTrue(PrivateGroup.isPrivate(des, { passwd, group }))
  })

  it.each([
    ["another member", des, passwd, "des:x:1000:des,eve\n"],
    ["a member under another name of the group", des, passwd, `${group}same:x:1000:eve\n`],
    ["another user whose primary group it is", des, `${passwd}eve:x:1001:1000::/:/bin/sh\n`, group],
    ["members that no file names", { uid: 1000, gid: 5000 }, passwd, group],
    ["every user, as a group users", { uid: 1000, gid: 100 }, "a:x:1000:100::/:\nb:x:1001:100::/:\n", "users:x:100:\n"]
  ])("not where it has %s", (_name, account, passwd, group) => {
    assert.isFalse(PrivateGroup.isPrivate(account, { passwd, group }))
  })
})
