-- SPDX-License-Identifier: MIT
-- The names of a call one after the other. Included after `one`, which is what the ordinary script
-- does with the keys and the arguments of one name. What goes wrong with one name, perhaps half
-- done, ends neither the script nor what was done for the names before it.
local function one_by_one(count, arguments)
    local answers = {}
    for i = 1, count do
        local keys = {KEYS[i], KEYS[2 * count + i], KEYS[count + i], KEYS[3 * count + i]}
        local is_done, said = pcall(one, keys, arguments(i))
        if not is_done or type(said) == 'table' then said = '-' end
        answers[i] = string.gsub(said, '\n', ' ') .. '\n'
    end
    return table.concat(answers)
end
