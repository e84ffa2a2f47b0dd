// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// Every kind of branch that is counted.
contract Forks {
    uint256 public asked;

    function walk(uint256 n) public pure returns (uint256 steps) {
        require(n != 7);
        assert(n != 8);
        for (uint256 i = 0; i < n; i++) steps++;
        while (steps > 4) steps -= 2;
        do steps++; while (steps < 3);
        if (n > 2 && n < 5) {
            steps = n;
        }
        if (n == 0 || n == 1) return 0;
        return n > 3 ? steps : next(n);
    }

    function next(uint256 n) private pure returns (uint256) {
        return n + 1;
    }

    function walkByDelegatecall(uint256 n) external returns (bool done) {
        (done,) = address(this).delegatecall(abi.encodeCall(this.walk, (n)));
    }

    function walkByCall(uint256 n) external view returns (uint256) {
        return this.walk(n);
    }
}
